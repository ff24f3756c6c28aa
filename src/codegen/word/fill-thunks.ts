/**
 * Makes the thunks of many sites at once, on AArch64 and RISC-V: `x86-64/fill-thunks.ts` tells why
 * with plain numbers. Addresses in the target lie below 2^53.
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

/**
 * Puts a distance into the branch at `offset` of `view`, which stands at distance 0. Asserts that
 * it reaches.
 */
export type SetBranch = (view: DataView, offset: number, distance: number) => void;

/** A thunk lies in one line of the processor's caches. */
const alignment = 64;
const two32 = 2 ** 32;

/** Bytes from one thunk to the next. */
export const thunkStride = (template: ThunkTemplate): number =>
  Math.ceil(template.code.bytes.length / alignment) * alignment;

/** Places of the branches in a thunk by what they go to; a pair of instructions is one place. */
function branchesOf({ code }: ThunkTemplate): Map<string, number[]> {
  const branches = new Map<string, number[]>();
  let last = { name: "", offset: -8 };
  for (const { name, offset } of code.holes) {
    const isSecondHalf = name === last.name && offset === last.offset + 4;
    if (!isSecondHalf) branches.set(name, [...(branches.get(name) ?? []), offset]);
    last = { name, offset };
  }
  return branches;
}

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
  setBranch: SetBranch,
): void {
  const { code, places } = template;
  const stride = thunkStride(template);
  assert(out.length === stride * sites.count, "thunks fill their place");
  out.fill(0, 0, stride).set(code.bytes);
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setUint32(places.leave, routines.leave % two32, true);
  view.setUint32(places.leave + 4, Math.floor(routines.leave / two32), true);
  for (let done = stride; done < out.length; done *= 2) out.copyWithin(done, 0, done);
  for (let i = 0; i < sites.count; i++)
    view.setUint32(i * stride + places.id, sites.id[i] ?? 0, true);
  for (const [name, offsets] of branchesOf(template)) {
    assert(name === "body" || name === "enter" || name === "leave", "a hole that we know");
    const shared = name === "body" ? undefined : routines[name];
    for (const offset of offsets) {
      for (let i = 0; i < sites.count; i++) {
        const at = i * stride + offset;
        setBranch(view, at, (shared ?? sites.body[i] ?? 0) - (start + at));
      }
    }
  }
}
