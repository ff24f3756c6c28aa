/**
 * What loads, stores and atomic accesses of AArch64 do.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C6.2, and the shared
 * pseudocode that is named where it is followed.
 */

import { unreachable } from "../../base/assert.ts";
import {
  type AccessBytes,
  type AccessOrder,
  type AtomicOp,
  binary,
  type Effect,
  type Expr,
  pc,
  reg,
  set,
  sext,
  temp,
  zext,
} from "../effects.ts";
import { type Bits, extended, plus, readR, readRsp, writeR, writeRsp } from "./access.ts";

/** A register of a load or store: a general one of some width, or a vector one. */
export type Transfer = {
  readonly bytes: AccessBytes;
  readonly vector: boolean;
  /** Loads: sign-extended to this many bits; else zero-extended. */
  readonly signed?: Bits;
};

const fromMemory = ({ bytes, vector, signed }: Transfer, rt: number, name: string): Effect[] => {
  if (vector) return [set(`v${rt}`, temp(name))];
  if (signed === undefined) return writeR(64, rt, temp(name));
  return writeR(signed, rt, sext(8 * bytes, signed, temp(name)));
};

const toMemory = ({ vector }: Transfer, rt: number): Expr =>
  vector ? reg(`v${rt}`) : readR(64, rt);

/** How the address comes about, and whether the base is written back. */
export type Address =
  | { readonly mode: "offset" | "pre" | "post"; readonly rn: number; readonly offset: number }
  | {
      readonly mode: "register";
      readonly rn: number;
      readonly rm: number;
      readonly option: number;
      readonly amount: number;
    }
  | { readonly mode: "literal"; readonly offset: number };

const locate = (where: Address): { readonly at: Expr; readonly writeBack: Effect[] } => {
  switch (where.mode) {
    case "literal":
      return { at: plus(pc, where.offset), writeBack: [] };
    case "register": {
      const index = extended(64, where.rm, where.option, where.amount);
      return { at: binary("add", 64, readRsp(64, where.rn), index), writeBack: [] };
    }
    case "offset":
      return { at: plus(readRsp(64, where.rn), where.offset), writeBack: [] };
    case "pre":
    case "post": {
      const base = readRsp(64, where.rn);
      const moved = plus(base, where.offset);
      const writeBack = writeRsp(64, where.rn, moved);
      return { at: where.mode === "pre" ? moved : base, writeBack };
    }
    default:
      return unreachable(where);
  }
};

export const load = (transfer: Transfer, rt: number, where: Address): Effect[] => {
  const { at, writeBack } = locate(where);
  return [
    { kind: "load", into: "t", addr: at, bytes: transfer.bytes },
    ...writeBack,
    ...fromMemory(transfer, rt, "t"),
  ];
};

export const store = (transfer: Transfer, rt: number, where: Address): Effect[] => {
  const { at, writeBack } = locate(where);
  const { bytes } = transfer;
  return [{ kind: "store", addr: at, value: toMemory(transfer, rt), bytes }, ...writeBack];
};

export const loadPair = (transfer: Transfer, rt: number, rt2: number, where: Address): Effect[] => {
  const { at, writeBack } = locate(where);
  const { bytes } = transfer;
  return [
    { kind: "load", into: "t", addr: at, bytes },
    { kind: "load", into: "u", addr: plus(at, bytes), bytes },
    ...writeBack,
    ...fromMemory(transfer, rt, "t"),
    ...fromMemory(transfer, rt2, "u"),
  ];
};

export const storePair = (
  transfer: Transfer,
  rt: number,
  rt2: number,
  where: Address,
): Effect[] => {
  const { at, writeBack } = locate(where);
  const { bytes } = transfer;
  return [
    { kind: "store", addr: at, value: toMemory(transfer, rt), bytes },
    { kind: "store", addr: plus(at, bytes), value: toMemory(transfer, rt2), bytes },
    ...writeBack,
  ];
};

/** LDXR, LDAXR, LDAR, LDAPR. */
export const loadOrdered = (
  bytes: AccessBytes,
  rt: number,
  rn: number,
  exclusive: boolean,
  order: AccessOrder,
): Effect[] => [
  {
    ...{ kind: "load", into: "t", addr: readRsp(64, rn), bytes, ...order },
    ...(exclusive ? { exclusive } : {}),
  },
  ...writeR(64, rt, temp("t")),
];

/** STLR. */
export const storeRelease = (bytes: AccessBytes, rt: number, rn: number): Effect[] => [
  { kind: "store", addr: readRsp(64, rn), value: readR(64, rt), bytes, release: true },
];

/** STXR, STLXR: `rs` is 0 when the store was done. */
export const storeExclusive = (
  bytes: AccessBytes,
  rs: number,
  rt: number,
  rn: number,
  order: AccessOrder,
): Effect[] => [
  {
    ...{ kind: "storeExclusive", into: "t", addr: readRsp(64, rn), value: readR(64, rt), bytes },
    ...order,
  },
  ...writeR(64, rs, temp("t")),
];

/** LDADD and its like, SWP: `rt` receives the old value; without it nothing is acquired. */
export const atomic = (
  fn: AtomicOp,
  bytes: AccessBytes,
  regs: { readonly rs: number; readonly rt: number; readonly rn: number },
  order: AccessOrder,
): Effect[] => [
  {
    ...{ kind: "atomic", fn, into: "t", addr: readRsp(64, regs.rn), bytes },
    ...{ operand: readR(64, regs.rs) },
    ...(order.acquire === true && regs.rt !== 31 ? { acquire: true } : {}),
    ...(order.release === true ? { release: true } : {}),
  },
  ...writeR(64, regs.rt, temp("t")),
];

/** CAS: `rs` holds what is expected and receives the old value. */
export const compareSwap = (
  bytes: AccessBytes,
  regs: { readonly rs: number; readonly rt: number; readonly rn: number },
  order: AccessOrder,
): Effect[] => [
  {
    ...{ kind: "atomic", fn: "cas", into: "t", addr: readRsp(64, regs.rn), bytes },
    ...{ operand: readR(64, regs.rt), expected: zext(8 * bytes, readR(64, regs.rs)), ...order },
  },
  ...writeR(64, regs.rs, temp("t")),
];
