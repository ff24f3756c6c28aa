/** What a thread has done so far: its trace under construction. */

import { type Image, valueOfBytes } from "./image.ts";
import { refusal } from "./test-file.ts";
import type { Fault, Fence, Mask, Step, TraceEvent } from "./trace.ts";

/** An event under construction: what is not said is absent. */
export type EventParts = Pick<TraceEvent, "kind" | "address" | "bytes"> & Partial<TraceEvent>;

export class EventLog {
  readonly #image: Image;
  readonly steps: Step[] = [];
  readonly events: TraceEvent[] = [];
  readonly fences: Fence[] = [];
  readonly faults: Fault[] = [];
  /** Reads that a branch depended on so far. */
  control: Mask = 0n;

  constructor(image: Image) {
    this.#image = image;
  }

  get #step(): number {
    return this.steps.length - 1;
  }

  /** Begins an instruction. */
  begin(pc: bigint): void {
    this.steps.push({ pc, text: "" });
  }

  /** Says what the instruction is. */
  name(text: string): void {
    const last = this.steps.pop();
    if (last !== undefined) this.steps.push({ pc: last.pc, text });
  }

  /** Appends an event; its number. */
  add(parts: EventParts): number {
    // Written out: this is the innermost loop of a search, and spreading objects is slow.
    const event: TraceEvent = {
      kind: parts.kind,
      step: this.#step,
      address: parts.address,
      bytes: parts.bytes,
      value: parts.value ?? 0n,
      acquire: parts.acquire ?? false,
      acquirePc: parts.acquirePc ?? false,
      release: parts.release ?? false,
      noReturn: parts.noReturn ?? false,
      atomic: parts.atomic ?? false,
      exclusive: parts.exclusive ?? false,
      rmw: parts.rmw,
      addressOn: parts.addressOn ?? 0n,
      addressPick: parts.addressPick ?? 0n,
      dataOn: parts.dataOn ?? 0n,
      dataPick: parts.dataPick ?? 0n,
      control: this.control,
    };
    return this.events.push(event) - 1;
  }

  addFetch(address: bigint, bytes: number, content: readonly number[]): void {
    const value = valueOfBytes(Uint8Array.from(content));
    this.add({ kind: "fetch", address, bytes, value });
  }

  addFence(barrier: Fence["barrier"]): void {
    this.fences.push({ step: this.#step, control: this.control, barrier });
  }

  /** Refuses the test at the instruction that is being executed. */
  refuse(why: string): never {
    const pc = this.steps.at(-1)?.pc ?? 0n;
    throw refusal(this.#image.test.source, this.#image.lineOf(pc), why);
  }
}
