/**
 * Lets the C library's longjmp tell which functions it leaves (`codegen/x86-64/jump-gate.ts`), from
 * when on somebody wants to know and something in the process may call it. Programs that don't use
 * longjmp are left as they are.
 */
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { filtersSyscalls } from "../os/proc.ts";
import { callGate } from "./call-gate.ts";
import type { Catalogue, CataloguedFunction } from "./catalogue.ts";
import { hasEnded } from "./has-ended.ts";
import type { Module } from "./process-modules.ts";
import type { TargetHandlers } from "./target-worker.ts";
import type { Tracing } from "./tracing.ts";
import type { WorkerClient } from "./worker-rpc.ts";

type Parts = {
  readonly pid: Pid;
  /** Kept in step with what is mapped. */
  readonly modules: readonly Module[];
  readonly target: WorkerClient<TargetHandlers>;
  readonly tracing: Tracing;
  readonly catalogue: Catalogue;
};

export class JumpWatch {
  readonly #parts: Parts;
  #isWanted = false;
  #isOpen = false;
  #why: string | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Why it is not known what a longjmp leaves, though somebody wants to know and it may come. */
  get why(): string | undefined {
    return this.#why;
  }

  /** Somebody wants to know. */
  async want(): Promise<void> {
    this.#isWanted = true;
    await this.look();
  }

  /** Libraries may have come. What can't be done is no reason not to trace. */
  async look(): Promise<void> {
    const { pid, catalogue, modules } = this.#parts;
    if (!this.#isWanted || this.#isOpen || catalogue.machine !== "x86-64") return;
    // A program that is linked statically has its own.
    const isItsOwn = (modules[0]?.program.jumps().sites.length ?? 0) > 0;
    if (!isItsOwn && !modules.some(({ program }) => program.importsJumps())) return;
    // Where functions without sites are traced, they may be among those.
    const places = catalogue.functions.filter(({ site, module }) =>
      module.program.jumps().sites.some(({ addr }) => addr === site.addr),
    );
    const [first] = places;
    if (first === undefined) {
      this.#why = "its C library's longjmp begins in an unknown way";
      return;
    }
    if (filtersSyscalls(pid)) {
      this.#why = "it filters its system calls (seccomp), and a look at its stacks may take some";
      return;
    }
    try {
      this.#isOpen = await this.#open(places, first.module.program.jumps().mangled);
    } catch (error) {
      if (!(error instanceof PatchbayError) || hasEnded(error)) throw error;
      this.#why = error.why;
    }
  }

  async #open(functions: readonly CataloguedFunction[], mangled: boolean): Promise<boolean> {
    const { target, tracing } = this.#parts;
    const address = await target.call("openJumpGate", mangled);
    if (address === undefined) return false;
    const handler = { kind: "direct", target: address, isGate: true } as const;
    await callGate(tracing, "learn of jumps", {
      name: "jumps",
      functions,
      glob: "*longjmp*",
      handler,
    });
    this.#why = undefined;
    return true;
  }
}
