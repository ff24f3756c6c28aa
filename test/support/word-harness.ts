/**
 * Programs of AArch64 and RISC-V that run generated code without a tracer, under qemu-user: what
 * `test/fixtures/word/harness.c` wants to have, and what it leaves behind.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codeAddr, dataAddr, hex } from "../../src/base/brand.ts";
import { setBranch as setBranchAArch64 } from "../../src/codegen/aarch64/branch.ts";
import { aarch64Machine } from "../../src/codegen/aarch64/machine.ts";
import { setBranch as setBranchRiscv } from "../../src/codegen/riscv/branch.ts";
import { riscv64Machine } from "../../src/codegen/riscv/machine.ts";
import { fillThunks, type SetBranch, thunkStride } from "../../src/codegen/word/fill-thunks.ts";
import type { Machine } from "../../src/codegen/word/machine.ts";
import { makeThunk, thunkRoutines } from "../../src/codegen/word/thunk.ts";
import type { Work } from "../../src/codegen/work.ts";
import type { ThunkPlan } from "../../src/codegen/x86-64/record.ts";
import { parseElf } from "../../src/elf/elf-file.ts";
import { findSites, type SiteCandidate } from "../../src/patch/site.ts";
import {
  type ArenaShape,
  arenaBytes,
  control,
  counterOffset,
  ringOffset,
  threadTable,
} from "../../src/ring/arena.ts";
import { eventTime } from "../../src/ring/event.ts";
import { ringHeader, ringHeaderBytes } from "../../src/ring/layout.ts";
import { fixture, outputOf, scratchFolder } from "./compile.ts";
import type { Patch, WordDesign } from "./word-designs.ts";

export type WordIsa = {
  readonly name: "aarch64" | "riscv64";
  readonly qemu: string;
  readonly machine: () => Machine;
  readonly setBranch: SetBranch;
  readonly flags: readonly string[];
};

export const wordIsas: readonly WordIsa[] = [
  {
    name: "aarch64",
    qemu: "qemu-aarch64",
    machine: () => aarch64Machine(codeAddr(0n)),
    setBranch: setBranchAArch64,
    flags: ["-fpatchable-function-entry=2"],
  },
  {
    name: "riscv64",
    qemu: "qemu-riscv64",
    machine: () => riscv64Machine(codeAddr(0n)),
    setBranch: setBranchRiscv,
    flags: ["-fpatchable-function-entry=4"],
  },
];

/** Compiles the harness; the path of the result. @param flags instead of the ISA's usual ones. */
export function compileHarness(
  { name, flags: usual }: WordIsa,
  flags: readonly string[] = usual,
): string {
  const output = join(scratchFolder(), "harness");
  const sources = [fixture("word/harness.c"), "-x", "assembler-with-cpp", fixture("word/probe.s")];
  outputOf(`${name}-linux-gnu-gcc`, ["-O2", "-static", ...flags, ...sources, "-o", output]);
  return output;
}

/** Where things are put in the program, whose own text is below 16 MiB. */
const places = {
  code: 0x100_0000n,
  table: 0x20_0000_0000n,
  arena: 0x21_0000_0000n,
  mirrorDelta: 0x80_0000_0000n,
} as const;
const mirrorWindowBits = 32;

const shapeOf = (slotCount: number): ArenaShape => ({
  ringCount: 16,
  slotCount,
  programBytes: 4096,
  counterBytes: 4096,
});

/** One event of a ring. */
export type SeenEvent = { readonly kind: number; readonly time: bigint; readonly site: number };

export type SeenRing = {
  readonly tid: number;
  readonly events: readonly SeenEvent[];
  readonly lostEntries: number;
  readonly lostExits: number;
};

export type Outcome = {
  /** What the program says of its own calls. */
  readonly calls: Readonly<Record<string, number>>;
  readonly rings: readonly SeenRing[];
  /** Counters by function. */
  readonly counters: Readonly<Record<string, number>>;
  readonly ringless: { readonly entries: number; readonly exits: number };
  /** Function by the id of its site. */
  readonly names: readonly string[];
};

export type Run = {
  readonly work: Work;
  /** Names of functions; all that begin with `traced_` when absent. */
  readonly functions?: readonly string[];
  readonly test: readonly string[];
  readonly slotCount?: number;
  /** 0: nothing is to be recorded. */
  readonly room?: bigint;
  /** Instances that actions can name; all of them are the same rings. */
  readonly instances?: number;
  /** Bytes of a window, for counting instructions; 8 unless said otherwise. */
  readonly windowBytes?: number;
  /** Instead of thunks; nothing is done at the sites for `idle`. */
  readonly design?: WordDesign | "idle";
};

const u64 = (values: readonly bigint[]): Uint8Array =>
  new Uint8Array(new BigUint64Array(values).buffer);

/** The thunks and routines at `places.code`, and the windows that go to them. */
function codeOf(
  isa: WordIsa,
  run: Run,
  plan: ThunkPlan,
  sites: readonly SiteCandidate[],
): readonly Patch[] {
  if (run.design === "idle") return [];
  if (run.design !== undefined) {
    const data = dataAddr(places.code + 0x8000n);
    const { code } = places;
    const at = sites.map(({ addr }) => BigInt(addr));
    return run.design.patches({ work: run.work, plan, code, data, sites: at });
  }
  const template = makeThunk(isa.machine(), run.work);
  const routines = thunkRoutines(isa.machine(), run.work, plan, template);
  const thunksAt = places.code + 8192n;
  const bytes = new Uint8Array(thunkStride(template) * sites.length);
  const start = Number(places.code);
  fillThunks(
    bytes,
    template,
    Number(thunksAt),
    {
      count: sites.length,
      id: Uint32Array.from(sites, (_, index) => index),
      body: Float64Array.from(sites, ({ addr, layout }) => Number(addr) + layout.windowSize),
    },
    { enter: start + routines.enter, leave: start + routines.leave },
    isa.setBranch,
  );
  const windows = sites.map(({ addr, layout }, index) => {
    const thunk = thunksAt + BigInt(index * thunkStride(template));
    const window = layout.jump(codeAddr(addr), codeAddr(thunk));
    if (!window.ok) throw new Error("out of reach");
    return { at: addr, bytes: window.value };
  });
  return [{ at: places.code, bytes: routines.bytes }, { at: thunksAt, bytes }, ...windows];
}

/**
 * Runs a test of the harness at `path` with its functions traced.
 * @param emulator options of qemu's; the windows' and the code's ranges come behind `-dfilter`.
 */
export function runHarness(
  isa: WordIsa,
  path: string,
  run: Run,
  emulator: readonly string[] = [],
): Outcome {
  const facts = JSON.parse(outputOf(isa.qemu, [path, "facts"]));
  const shape = shapeOf(run.slotCount ?? 1 << 16);
  const window = BigInt(facts.stack) >> BigInt(mirrorWindowBits);
  const plan: ThunkPlan = {
    tidOffset: facts.tidOffset,
    ticksPerNs: 1,
    mirrorDelta: places.mirrorDelta,
    mirrorWindowBits,
    mirrorWindow: Number(window),
    ranges: dataAddr(0n),
    unwinders: dataAddr(0n),
    instances: Array.from({ length: run.instances ?? 1 }, () => ({
      ...{ table: dataAddr(places.table), arena: dataAddr(places.arena), shape },
      overwrite: false,
      coarse: false,
      frameDeltas: [],
    })),
  };
  const sites = findSites(parseElf(readFileSync(path))).sites.filter(({ symbol = "" }) =>
    run.functions === undefined ? symbol.startsWith("traced_") : run.functions.includes(symbol),
  );
  const arena = new Uint8Array(arenaBytes(shape));
  new DataView(arena.buffer).setBigUint64(control.room, run.room ?? BigInt(shape.slotCount), true);
  const folder = scratchFolder();
  const [patchesPath, arenaPath] = [join(folder, "patches"), join(folder, "arena")];
  writeFileSync(arenaPath, arena);
  const mirror = (window << BigInt(mirrorWindowBits)) + places.mirrorDelta;
  const armed = places.table + BigInt(threadTable.armed);
  const ranges = [
    u64([places.arena, BigInt(arena.length)]),
    u64([places.table, BigInt(threadTable.bytes)]),
    u64([mirror, 2n ** BigInt(mirrorWindowBits)]),
    u64([places.code, 65_536n]),
    ...[{ at: armed, bytes: Uint8Array.of(1, 0, 0, 0) }, ...codeOf(isa, run, plan, sites)].flatMap(
      ({ at, bytes }) => [u64([at, BigInt(bytes.length)]), bytes],
    ),
  ];
  writeFileSync(patchesPath, Buffer.concat(ranges));
  const filter = [
    `${hex(places.code)}+0x10000`,
    ...sites.map(({ addr }) => `${hex(addr)}+${run.windowBytes ?? 8}`),
  ].join(",");
  const options = emulator.length === 0 ? [] : [...emulator, "-dfilter", filter];
  const program = [path, patchesPath, arenaPath, ...run.test];
  const calls = JSON.parse(outputOf(isa.qemu, [...options, ...program]));
  const names = sites.map(({ symbol = "" }) => symbol);
  return { calls, names, ...readArena(readFileSync(arenaPath), shape, names) };
}

function readArena(
  bytes: Buffer,
  shape: ArenaShape,
  names: readonly string[],
): Omit<Outcome, "calls" | "names"> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = (at: number): number => Number(view.getBigUint64(at, true));
  const rings: SeenRing[] = [];
  for (let index = 0; index < shape.ringCount; index++) {
    const at = ringOffset(shape, index);
    const tid = view.getUint32(at + ringHeader.tid, true);
    if (tid === 0) continue;
    const events = Array.from({ length: number(at + ringHeader.head) }, (_, slot) => {
      const event = view.getBigUint64(at + ringHeaderBytes + 8 * slot, true);
      return { kind: Number(event & 3n), time: eventTime(event), site: Number(event >> 40n) };
    });
    const [lostEntries, lostExits] = [ringHeader.lostEntries, ringHeader.lostExits];
    rings.push({
      ...{ tid, events },
      ...{ lostEntries: number(at + lostEntries), lostExits: number(at + lostExits) },
    });
  }
  const counted = names.map((name, id) => [name, number(counterOffset(shape) + 8 * id)] as const);
  return {
    rings,
    counters: Object.fromEntries(counted),
    ringless: { entries: number(control.ringlessEntries), exits: number(control.ringlessExits) },
  };
}

/**
 * Instructions that a call of one traced function executes in its window and in generated code, by
 * qemu's log of single steps.
 */
export function countInstructions(isa: WordIsa, path: string, run: Omit<Run, "test">): number {
  const lines = (calls: number): number => {
    const log = join(scratchFolder(), "log");
    const functions = ["traced_leaf"];
    const test = ["leaf", String(calls)];
    const emulator = ["-singlestep", "-d", "exec,nochain", "-D", log];
    runHarness(isa, path, { ...run, functions, test }, emulator);
    const text = readFileSync(log, "utf8");
    return text.split("\n").filter((line) => line.startsWith("Trace")).length;
  };
  // The first call finds the thread's ring.
  const [few, many] = [lines(10), lines(30)];
  return (many - few) / 20;
}
