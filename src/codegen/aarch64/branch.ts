/** Direct branches of AArch64, by plain numbers: what many sites and thunks are filled with. */
import { assert } from "../../base/assert.ts";
import { branchMax, branchMin } from "../../patch/aarch64-code.ts";

const opcodeMask = 0xfc00_0000;

/** Puts the distance into the B or BL at `offset`. */
export function setBranch(view: DataView, offset: number, distance: number): void {
  assert(distance >= branchMin && distance <= branchMax && (distance & 3) === 0, "branches reach");
  const opcode = view.getUint32(offset, true) & opcodeMask;
  view.setInt32(offset, opcode | ((distance >> 2) & ~opcodeMask), true);
}
