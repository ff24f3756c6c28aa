/**
 * P9. A table of stubs after zcmt: only JALR changes, and each stub loads its target from a slot.
 *
 *   site    auipc t0, hi(page - site)   fixed
 *   +4      nop <-> jalr t0, lo(t0)     the entry's number is in lo
 *   entry k auipc t1, 0; ld t1, slot_k - entry_k(t1); jr t1      12 bytes, the repaired form
 *   slot k  8-byte target, one aligned store
 *
 * Which sites reach which entries is arithmetic: `model/arithmetic.ts`.
 */
import { rv64Table } from "../designs/riscv.ts";
import { type Check, checksFor, type Family, type Protocol } from "../protocol.ts";
import {
  quiesceHarts,
  quiesceTasks,
  type Step,
  storeBarrier,
  sync,
  toNew,
  window,
  word,
  write,
} from "../steps.ts";

const jalrOnly: readonly Step[] = [write(window(4, 4), toNew), storeBarrier, sync];
const retire = [quiesceHarts, quiesceTasks];

export const table: Protocol = {
  id: "P9/table",
  title: "jalr to one entry or another; entries never go away",
  enable: jalrOnly,
  disable: jalrOnly,
  retire,
};

const slotOnly: readonly Step[] = [write(word("slot 1"), toNew), storeBarrier];
export const switchSlot: Protocol = {
  ...table,
  id: "P9/switch-slot",
  title: "an entry's target is one aligned store to its slot",
  modify: slotOnly,
};
export const switchSlotFreed: Protocol = {
  ...switchSlot,
  id: "P9/switch-slot-at-once",
  title: "as P9/switch-slot, the old target freed at once",
  retire: [],
};

const switched = [
  { to: "a again", free: false },
  { to: "c", free: true },
  { to: "idle", free: false },
];

export const checks: readonly Check[] = [
  ...checksFor(
    {
      protocol: table,
      design: rv64Table,
      expected: "safe",
      reason: "one aligned instruction changes, and every entry stays",
    },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [
      ["modify", "preemption"],
      ["modify", "nmi"],
      ["retarget", "preemption"],
      ["modify", "two-sites"],
    ],
  ),
  ...checksFor(
    {
      protocol: switchSlot,
      design: rv64Table,
      history: switched,
      expected: "safe",
      reason: "a slot is one aligned word, and old targets outlive their grace period",
    },
    ["strong", "riscv-ziccif", "riscv-ziccid"],
    [["preemption", "free"]],
  ),
  ...checksFor(
    {
      protocol: switchSlotFreed,
      design: rv64Table,
      history: switched,
      expected: "use-after-free",
      reason: "a thread has loaded the old target and not arrived there",
    },
    ["strong"],
    [["free"]],
  ),
];

export const p9: Family = {
  id: "P9",
  title: "A table of stubs after zcmt",
  source: "A. Chiu, linux-riscv, 2024-09-11, second proposal",
  checks,
};
