/**
 * The machines that protocols are checked on: what an ISA, or a vendor's manual, promises about
 * instruction fetch while another hart stores to the code. A machine is a record of parameters;
 * `memory.ts` gives them their meaning.
 *
 * Everything a manual does not promise may happen on the machine of that manual. What processors
 * are only seen to do is a machine of its own (`x86-observed`), so that a verdict names it.
 */
import type { MachineName } from "../patch/verdicts.ts";

export type Machine = {
  readonly name: MachineName;
  /** One line for tables and pages: which promise this is. */
  readonly summary: string;
  /** Manual section. */
  readonly source: string;
  /** ISA family that its sites are written in; `any` for the machine without caches. */
  readonly isa: "x86-64" | "aarch64" | "riscv" | "any";
  /** Bytes of a naturally aligned block that one fetch sees at one moment. */
  readonly fetchAtom: number;
  /**
   * What an earlier fetch of the same hart says about a later one. `none`: nothing, a location may
   * be seen new and then old. `location`: never older at the same block. `program`: fetches see
   * memory at moments that only move forwards.
   */
  readonly fetchOrder: "none" | "location" | "program";
  /** `now`: a fetch sees memory as it is at this moment. */
  readonly fetch: "stale" | "now";
  /** Whether one hart's stores become visible to others in the order that it made them. */
  readonly storeOrder: "program" | "any";
  /**
   * A store that stays inside such a block is single-copy atomic however it is aligned; 0: none.
   */
  readonly storeAtom: number;
  /** Taking an exception, and returning from it, synchronises the hart's fetches. */
  readonly trapSyncs: boolean;
  /** Sending the interrupt of a sync waits for the sender's earlier stores by itself. */
  readonly syncDrains: boolean;
  /**
   * A load may return a value from before the fetch of the instructions in front of it (back to
   * the hart's last synchronisation).
   */
  readonly staleData: boolean;
  /** Cache maintenance by address is needed: CTR_EL0.DIC and IDC; absent where there is none. */
  readonly caches?: { readonly dic: boolean; readonly idc: boolean };
  /** Only instructions of Arm's list may be changed while they are executed. */
  readonly listed: boolean;
};

const x86 = {
  isa: "x86-64",
  fetch: "stale",
  fetchOrder: "program",
  storeOrder: "program",
  trapSyncs: true,
  syncDrains: true,
  staleData: false,
  listed: false,
} as const;

/** The table's machines by name. */
export const machines: Readonly<Record<MachineName, Machine>> = {
  // No promise about cross-modifying code beyond single bytes: each byte of an instruction may be
  // older or newer than its neighbours, and locations may be fetched in any order.
  "x86-intel": {
    ...x86,
    name: "x86-intel",
    summary: "Intel's manual: nothing is promised about more than one byte until a hart serialises",
    source: "Intel SDM Vol. 3A, 9.1.3 Handling Self- and Cross-Modifying Code",
    fetchAtom: 1,
    fetchOrder: "location",
    storeAtom: 8,
  },
  "x86-amd": {
    ...x86,
    name: "x86-amd",
    summary: "AMD's manual: one store inside a naturally aligned quadword is seen whole or not",
    source: "AMD APM Vol. 2, 7.6.1 Cache Coherency and Self-Modifying Code (cross-modifying code)",
    fetchAtom: 8,
    fetchOrder: "location",
    storeAtom: 8,
  },
  "x86-observed": {
    ...x86,
    name: "x86-observed",
    summary: "what processors of both vendors are seen to do: atomic in a cache line, in order",
    source: "Intel SDM Vol. 3A, 9.1.1 (data accesses within a line); practice of XRay and HotSpot",
    fetchAtom: 64,
    storeAtom: 64,
  },
  "armv8-dic0-idc0": armv8(false, false),
  "armv8-dic0-idc1": armv8(false, true),
  "armv8-dic1-idc0": armv8(true, false),
  "armv8-dic1-idc1": armv8(true, true),
  "riscv-ziccif": riscv({ ziccif: true, ziccid: false, fetchBytes: 4 }),
  "riscv-ziccid": riscv({ ziccif: true, ziccid: true, fetchBytes: 4 }),
  "riscv-parcel": riscv({ ziccif: false, ziccid: false, fetchBytes: 2 }),
  strong: {
    name: "strong",
    summary: "no caches and no store buffers: what breaks here is pure interleaving",
    source: "sequential consistency",
    isa: "any",
    fetchAtom: 64,
    fetchOrder: "program",
    fetch: "now",
    storeOrder: "program",
    storeAtom: 64,
    trapSyncs: true,
    syncDrains: true,
    staleData: false,
    listed: false,
  },
};

/** What of RISC-V's optional promises about fetch a machine makes. */
export type RiscvFetch = {
  /** Ziccif: aligned fetches of min(ILEN, XLEN) bits, here 4 bytes, are atomic. */
  readonly ziccif: boolean;
  /** Ziccid: fetches are in program order and coherent, and loads come after them. */
  readonly ziccid: boolean;
  /** Without Ziccif: the bytes that the hardware happens to fetch at once. */
  readonly fetchBytes: 2 | 4;
};

/**
 * RISC-V (Unprivileged ISA: Zifencei, Ziccif, Ziccid 1.0 draft). Without Ziccid a hart may fetch
 * any
 * version since its last FENCE.I, new before old too, and a load may be older than the fetch of the
 * instruction in front of it: candidates ir1+ir3 and ir1+ir2+ir3 of the riscv-ifetch litmus tests.
 */
export function riscv(promises: RiscvFetch): Machine {
  const { ziccif, ziccid, fetchBytes } = promises;
  const name = ziccid ? "riscv-ziccid" : ziccif ? "riscv-ziccif" : "riscv-parcel";
  const summaries = {
    "riscv-ziccid": "RISC-V with Ziccif and Ziccid: fetches in program order see coherent memory",
    "riscv-ziccif": "RISC-V with Ziccif: aligned 4-byte fetches are atomic, no more is promised",
    "riscv-parcel": `RISC-V without Ziccif: ${fetchBytes} bytes are fetched at once`,
  };
  return {
    name,
    summary: summaries[name],
    source: "RISC-V Unprivileged ISA, Zifencei, Ziccif, Ziccid",
    isa: "riscv",
    fetchAtom: ziccif ? 4 : fetchBytes,
    fetchOrder: ziccid ? "program" : "none",
    fetch: "stale",
    storeOrder: "any",
    storeAtom: 0,
    trapSyncs: false,
    syncDrains: false,
    staleData: !ziccid,
    listed: false,
  };
}

/**
 * Armv8-A for each cache type. With DIC and IDC set fetches are ordered in program order (the
 * catalogue's DIC1 verdicts); without, a fetch may return a line that was filled at any time.
 */
export function armv8(dic: boolean, idc: boolean): Machine {
  return {
    name: `armv8-dic${dic ? 1 : 0}-idc${idc ? 1 : 0}`,
    summary: `Armv8-A with CTR_EL0.DIC=${dic ? 1 : 0}, IDC=${idc ? 1 : 0}`,
    source: "Arm ARM B2.4.4 and K11.5; concurrent modification and execution: B2.2.5",
    isa: "aarch64",
    fetchAtom: 4,
    fetchOrder: dic ? (idc ? "program" : "location") : "none",
    fetch: "stale",
    storeOrder: "any",
    storeAtom: 0,
    trapSyncs: true,
    syncDrains: true,
    staleData: false,
    caches: { dic, idc },
    listed: true,
  };
}
