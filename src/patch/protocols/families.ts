/** Every family of protocols, in the order of their numbers. */
import type { Family } from "../protocol.ts";
import { live } from "./live.ts";
import { p1 } from "./p1-call-ops-arm64.ts";
import { p2 } from "./p2-call-ops-2023.ts";
import { p3 } from "./p3-call-ops-riscv.ts";
import { p4 } from "./p4-stop-machine-pair.ts";
import { p5 } from "./p5-auipc-replay.ts";
import { p6 } from "./p6-exception-guard.ts";
import { p7 } from "./p7-int3.ts";
import { p8 } from "./p8-four-instructions.ts";
import { p9 } from "./p9-trampoline-table.ts";
import { p10 } from "./p10-riscv-options.ts";
import { p11 } from "./p11-global-pair.ts";
import { p12 } from "./p12-user-space.ts";

export const families: readonly Family[] = [
  p1,
  p2,
  p3,
  p4,
  p5,
  p6,
  p7,
  p8,
  p9,
  p10,
  p11,
  p12,
  live,
];
