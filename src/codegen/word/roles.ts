/** What routines on AArch64 and RISC-V use their scratch registers for. */
import type { Machine, Reg } from "./machine.ts";

/** What the scratch registers are for while a routine runs. */
export type Roles = {
  readonly ring: Reg;
  readonly head: Reg;
  readonly a: Reg;
  readonly b: Reg;
  readonly event: Reg;
  readonly slot: Reg;
  /** The site's id; stays as it is. */
  readonly id: Reg;
};

export const rolesOf = ({ scratch }: Machine): Roles => {
  const [ring = 0, head = 0, a = 0, b = 0, event = 0, slot = 0, id = 0] = scratch;
  return { ring, head, a, b, event, slot, id };
};
