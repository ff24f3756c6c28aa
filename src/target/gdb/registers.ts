/** A stopped thread's registers by their names in the stub's target description. */
import { PatchbayError } from "../../base/error.ts";
import type { RegisterFile } from "../process.ts";
import type { RegisterPlace, TargetDescription } from "./target-description.ts";

export class StubRegisters implements RegisterFile {
  readonly #description: TargetDescription;
  readonly bytes: Uint8Array;

  /** @param bytes as `g` gives them; owned by this from now on. */
  constructor(description: TargetDescription, bytes: Uint8Array) {
    this.#description = description;
    this.bytes = bytes;
  }

  /** Where a register of up to 8 bytes is. */
  #place(name: string): RegisterPlace {
    const place = this.#description.registers.get(name);
    const end = place === undefined ? 0 : place.offset + place.bytes;
    if (place !== undefined && place.bytes <= 8 && end <= this.bytes.length) {
      return place;
    }
    throw new PatchbayError({
      code: "unsupported",
      doing: `look at register ${name}`,
      why: "the GDB stub does not offer it",
    });
  }

  has(name: string): boolean {
    return this.#description.registers.has(name);
  }

  get(name: string): bigint {
    const { offset, bytes } = this.#place(name);
    let value = 0n;
    for (let at = bytes - 1; at >= 0; at--) {
      value = (value << 8n) | BigInt(this.bytes[offset + at] ?? 0);
    }
    return value;
  }

  set(name: string, value: bigint): this {
    const { offset, bytes } = this.#place(name);
    for (let at = 0; at < bytes; at++) {
      this.bytes[offset + at] = Number((value >> BigInt(8 * at)) & 0xffn);
    }
    return this;
  }

  copy(): StubRegisters {
    return new StubRegisters(this.#description, this.bytes.slice());
  }
}
