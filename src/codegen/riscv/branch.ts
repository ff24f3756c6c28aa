/** AUIPC with JALR, by plain numbers: what many sites and thunks are filled with. */
import { assert } from "../../base/assert.ts";

/** What AUIPC and a sign-extended 12-bit offset reach, in bytes. */
const distanceMax = 2 ** 31 - 2049;
const distanceMin = -(2 ** 31) - 2048;

/** Puts the distance into the AUIPC at `offset` and the JALR behind it. */
export function setBranch(view: DataView, offset: number, distance: number): void {
  assert(distance >= distanceMin && distance <= distanceMax, "branches reach");
  const low = (distance << 20) >> 20;
  const high = (distance - low) | 0;
  view.setInt32(offset, (view.getInt32(offset, true) & 0xfff) | high, true);
  const jalr = view.getInt32(offset + 4, true) & 0xf_ffff;
  view.setInt32(offset + 4, jalr | (low << 20), true);
}
