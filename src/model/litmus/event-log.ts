/** What a thread has done so far: its trace under construction. */

import { type Image, valueOfBytes } from "./image.ts";
import { refusal } from "./test-file.ts";
import type { Fault, Fence, Mask, Step, TraceEvent } from "./trace.ts";

/** An event under construction: what is not said is absent. */
export type EventParts = Pick<TraceEvent, "kind" | "address" | "bytes"> & Partial<TraceEvent>;

const absent = {
  value: 0n,
  acquire: false,
  acquirePc: false,
  release: false,
  noReturn: false,
  atomic: false,
  exclusive: false,
  rmw: undefined,
  addressOn: 0n,
  addressPick: 0n,
  dataOn: 0n,
  dataPick: 0n,
} as const;

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
    const event = { ...absent, step: this.#step, control: this.control, ...parts };
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
    throw refusal(this.#image.test.name, this.#image.lineOf(pc), why);
  }
}
