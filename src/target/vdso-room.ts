/**
 * Room for a few instructions in a process, without a system call in it: the end of the vdso, where
 * nothing stands. What is written there is the process' own copy; its other code goes on.
 */
import type { CodeAddr } from "../base/brand.ts";
import { codeAddr } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { Mapping } from "../os/proc.ts";
import type { TargetMemory } from "./process.ts";

export class VdsoRoom {
  readonly at: CodeAddr;
  readonly #memory: TargetMemory;
  readonly #bytes: number;

  private constructor(memory: TargetMemory, at: CodeAddr, bytes: number) {
    this.at = at;
    this.#memory = memory;
    this.#bytes = bytes;
  }

  /** Puts `code` there; undefined where there is no room for it, or none that can be written. */
  static lay(
    memory: TargetMemory,
    maps: readonly Mapping[],
    code: Uint8Array,
  ): VdsoRoom | undefined {
    const vdso = maps.find(({ path }) => path === "[vdso]");
    if (vdso === undefined) return undefined;
    const at = codeAddr(vdso.end - BigInt(code.length));
    if (memory.read(at, code.length).some((byte) => byte !== 0)) return undefined;
    try {
      memory.write(at, code);
    } catch (error) {
      if (error instanceof PatchbayError && error.code === "system") return undefined;
      throw error;
    }
    return new VdsoRoom(memory, at, code.length);
  }

  holds(pc: bigint): boolean {
    return pc >= this.at && pc < this.at + BigInt(this.#bytes);
  }

  /** Leaves it as it was. Nobody is to come there any more. */
  clear(): void {
    this.#memory.write(this.at, new Uint8Array(this.#bytes));
  }
}
