/**
 * A site's record: what its text does now, and what it should do, in one word of flags, with the
 * state machine that says how to get from one to the other. The meaning of each flag, the rules of
 * the counts and the table of actions are Linux' (include/linux/ftrace.h, kernel/trace/ftrace.c:
 * __ftrace_hash_rec_update, ftrace_check_record).
 *
 * `X` is what is wanted, `X_EN` is what the text does.
 */
import { assert } from "../base/assert.ts";

/** Bits of a record. The low 19 count the ops that want the site. */
export const flag = {
  /** Its text was changed by IPMODIFY or DIRECT at some time. */
  modified: 0x80000,
  /** It was enabled at some time. */
  touched: 0x100000,
  callOpsEnabled: 0x200000,
  /** One ops alone, reached by the literal beside the site. */
  callOps: 0x400000,
  directEnabled: 0x800000,
  /** An ops wants the site to call a function of the user's. */
  direct: 0x1000000,
  /** Not to be touched: its bytes are not what they should be, or its library is going. */
  disabled: 0x2000000,
  /** An ops changes where the call returns to. */
  ipModify: 0x4000000,
  trampolineEnabled: 0x8000000,
  /** One ops alone, with a trampoline of its own. */
  trampoline: 0x10000000,
  regsEnabled: 0x20000000,
  /** An ops wants all registers. */
  regs: 0x40000000,
  /** The text calls something. */
  enabled: -0x8000_0000,
} as const;

export const countMax: number = (1 << 19) - 1;
const enabledBits =
  flag.callOpsEnabled | flag.directEnabled | flag.trampolineEnabled | flag.regsEnabled;
/** What stays when nobody wants the site any more. */
const kept = flag.disabled | flag.touched | flag.modified;

/** Ops that want a site. */
export const countOf = (record: number): number => record & countMax;
export const has = (record: number, bit: number): boolean => (record & bit) !== 0;

const assign = (record: number, bit: number, on: boolean): number =>
  on ? record | bit : record & ~bit;

/** What an ops asks of the sites that it matches. */
export type Wish = {
  readonly regs: boolean;
  readonly direct: boolean;
  readonly ipModify: boolean;
  /** It has a trampoline of its own, or one can be made. */
  readonly trampoline: boolean;
  /** It can be called straight from the common trampoline: it needs no help around its call. */
  readonly callOps: boolean;
};

/** What is known of the others that want the site when one goes. */
export type Remaining = {
  readonly regs: boolean;
  /** The only one left, when one is left alone. */
  readonly sole: Wish | undefined;
};

/** The record when `wish` comes. */
export function addWish(record: number, wish: Wish): number {
  const count = countOf(record) + 1;
  assert(count <= countMax, "a site is wanted by too many ops");
  let next = (record & ~countMax) | count;
  if (wish.direct) next |= flag.direct;
  if (wish.ipModify) next |= flag.ipModify;
  if (wish.regs) next |= flag.regs;
  next = assign(next, flag.trampoline, count === 1 && wish.trampoline);
  return assign(next, flag.callOps, count === 1 && wish.callOps);
}

/** The record when `wish` goes and `remaining` are left. */
export function removeWish(record: number, wish: Wish, remaining: Remaining): number {
  const count = countOf(record) - 1;
  assert(count >= 0, "an ops goes that never came");
  let next = (record & ~countMax) | count;
  if (wish.direct) next &= ~flag.direct;
  if (wish.ipModify) next &= ~flag.ipModify;
  next = assign(next, flag.regs, remaining.regs);
  const { sole } = remaining;
  next = assign(next, flag.trampoline, count === 1 && sole?.trampoline === true);
  return assign(next, flag.callOps, count === 1 && sole?.callOps === true);
}

/** What has to happen to a site's text. */
export type Action = "ignore" | "makeCall" | "modifyCall" | "makeNop";

const differs = (record: number, wanted: number, enabled: number): boolean =>
  has(record, wanted) !== has(record, enabled);

/** What the text has to become so that it does what is wanted. */
export function checkRecord(record: number, enable: boolean): Action {
  if (has(record, flag.disabled) && !has(record, flag.enabled)) return "ignore";
  const wanted = enable && countOf(record) > 0;
  if (!wanted) return has(record, flag.enabled) ? "makeNop" : "ignore";
  if (!has(record, flag.enabled)) return "makeCall";
  const alone = countOf(record) === 1;
  const changed =
    differs(record, flag.regs, flag.regsEnabled) ||
    differs(record, flag.trampoline, flag.trampolineEnabled) ||
    (alone
      ? differs(record, flag.direct, flag.directEnabled) ||
        differs(record, flag.callOps, flag.callOpsEnabled)
      : has(record, flag.directEnabled | flag.callOpsEnabled));
  return changed ? "modifyCall" : "ignore";
}

/** The record once its text has followed `action`. */
export function settleRecord(record: number, action: Action): number {
  switch (action) {
    case "ignore":
      return record;
    case "makeNop":
      return countOf(record) === 0 ? record & kept : record & ~(enabledBits | flag.enabled);
    case "makeCall":
    case "modifyCall": {
      const alone = countOf(record) === 1;
      let next = record | flag.enabled | flag.touched;
      if (has(record, flag.direct | flag.ipModify)) next |= flag.modified;
      next = assign(next, flag.regsEnabled, has(record, flag.regs));
      next = assign(next, flag.trampolineEnabled, has(record, flag.trampoline));
      next = assign(next, flag.directEnabled, alone && has(record, flag.direct));
      return assign(next, flag.callOpsEnabled, alone && has(record, flag.callOps));
    }
    default:
      return action satisfies never;
  }
}
