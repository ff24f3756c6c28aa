/**
 * Makes the thunks of many sites at once. A hundred thousand of them are made while somebody
 * waits, so addresses are plain numbers here (user addresses lie below 2^47 and fit) and a copy
 * costs a memory move and a few stores.
 */
import { assert } from "../../base/assert.ts";
import { eventKind, siteShift } from "../../ring/layout.ts";
import type { ThunkTemplate } from "./record.ts";

/** Sites of one region, index by index. Addresses in the target. */
export type ThunkSites = {
  readonly count: number;
  /** What the site's event carries. */
  readonly id: Uint32Array;
  /** First byte behind the window: where the thunk goes on. */
  readonly body: Float64Array;
  /** Address of the session's counters: a u64 for each site, by its id. */
  readonly counters: number;
};

const alignment = 16;
const two32 = 2 ** 32;

/** Bytes from one thunk to the next. */
export const thunkStride = (template: ThunkTemplate): number =>
  Math.ceil(template.bytes.length / alignment) * alignment;

type Filling =
  | { readonly kind: "counter"; readonly offset: number }
  | { readonly kind: "event"; readonly offset: number; readonly low: number }
  | {
      readonly kind: "distance";
      readonly offset: number;
      readonly end: number;
      readonly to: "claim" | "tail" | "body";
    };

const eventLow: Readonly<Record<string, number>> = {
  entryEvent: eventKind.entry,
  exitEvent: eventKind.exit,
  unwoundEvent: eventKind.unwound,
};

/** What each hole wants, found out once per template. */
const fillings = (template: ThunkTemplate): readonly Filling[] =>
  template.holes.map(({ name, offset, endOffset }) => {
    if (name === "claim" || name === "tail" || name === "body") {
      assert(endOffset !== undefined, `${name} is a distance`);
      return { kind: "distance", offset, end: endOffset, to: name };
    }
    if (name === "counter") return { kind: "counter", offset };
    const low = eventLow[name];
    assert(low !== undefined, `unknown hole ${name}`);
    return { kind: "event", offset, low };
  });

/**
 * The thunks of `sites` in a buffer of their own, for the address `start`.
 * @param routines addresses of what all thunks call.
 */
export function fillThunks(
  template: ThunkTemplate,
  start: number,
  sites: ThunkSites,
  routines: { readonly claim: number; readonly tail: number },
): Uint8Array {
  const stride = thunkStride(template);
  const out = new Uint8Array(stride * sites.count).fill(0xcc);
  const view = new DataView(out.buffer);
  const wanted = fillings(template);
  for (let index = 0; index < sites.count; index++) {
    const at = index * stride;
    const body = sites.body[index] ?? 0;
    const high = (sites.id[index] ?? 0) << (siteShift - 32);
    out.set(template.bytes, at);
    for (const filling of wanted) {
      const place = at + filling.offset;
      if (filling.kind === "event") {
        view.setUint32(place, filling.low, true);
        view.setInt32(place + 4, high, true);
      } else if (filling.kind === "counter") {
        const counter = sites.counters + 8 * (sites.id[index] ?? 0);
        view.setUint32(place, counter % two32, true);
        view.setUint32(place + 4, counter / two32, true);
      } else {
        const target = filling.to === "body" ? body : routines[filling.to];
        const distance = target - (start + at + filling.end);
        assert(distance === (distance | 0), `a thunk can't reach its ${filling.to}`);
        view.setInt32(place, distance, true);
      }
    }
  }
  return out;
}
