/**
 * Makes the thunks of many sites at once. A hundred thousand of them are made while somebody
 * waits, so addresses are plain numbers here (user addresses lie below 2^47 and fit), copies are
 * one move of memory each, and a hole costs a store.
 */
import { assert } from "../../base/assert.ts";
import type { ThunkTemplate } from "./thunk.ts";

/** Sites of one region, index by index. Addresses in the target. */
export type ThunkSites = {
  readonly count: number;
  /** What the site's events carry. */
  readonly id: Uint32Array;
  /** First byte behind the window: where the thunk goes on. */
  readonly body: Float64Array;
};

/** A thunk lies in one line of the processor's caches. */
const alignment = 64;

/** Bytes from one thunk to the next. */
export const thunkStride = (template: ThunkTemplate): number =>
  Math.ceil(template.code.bytes.length / alignment) * alignment;

/**
 * Puts the thunks of `sites` into `out` (borrowed), which is to stand at `start`.
 * @param routines addresses of what all thunks call.
 */
export function fillThunks(
  out: Uint8Array,
  template: ThunkTemplate,
  start: number,
  sites: ThunkSites,
  routines: { readonly enter: number; readonly leave: number },
): void {
  const { bytes, holes } = template.code;
  const stride = thunkStride(template);
  assert(out.length === stride * sites.count, "thunks fill their place");
  out.fill(0xcc, 0, stride).set(bytes);
  for (let done = stride; done < out.length; done *= 2) out.copyWithin(done, 0, done);
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (const { name, offset, endOffset } of holes) {
    if (name === "site") {
      for (let i = 0; i < sites.count; i++) {
        view.setUint32(i * stride + offset, sites.id[i] ?? 0, true);
      }
      continue;
    }
    assert(name === "body" || name === "enter" || name === "leave", "a hole that we know");
    assert(endOffset !== undefined, "routines and bodies are called");
    const shared = name === "body" ? undefined : routines[name];
    for (let i = 0; i < sites.count; i++) {
      const distance = (shared ?? sites.body[i] ?? 0) - (start + i * stride + endOffset);
      assert(distance === (distance | 0), "thunks reach what they call");
      view.setInt32(i * stride + offset, distance, true);
    }
  }
}
