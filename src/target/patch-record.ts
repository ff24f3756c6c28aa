/**
 * What a fix leaves in the process beside its code: a record of what was changed, found again by
 * the name of its mapping. The layout around it: `codegen/x86-64/version-switch.ts`.
 */
import { assert, ensure } from "../base/assert.ts";
import { type Pid, type Tid, pid as toPid, tid as toTid } from "../base/brand.ts";
import { recordOffset, reportOffset, versionSwitch } from "../codegen/x86-64/version-switch.ts";
import { isAlive } from "../os/proc.ts";
import {
  asArray,
  asCount,
  asObject,
  asString,
  asStrings,
  type Json,
  type JsonObject,
  parseJson,
} from "../trace/json.ts";
import type { TargetMemory, TargetProcess } from "./process.ts";
import type { HeldUp } from "./stack-walk.ts";
import { readReport } from "./switch-report.ts";

/** Name of the mapping; the kernel shows it as `/memfd:patchbay-fix (deleted)`. */
export const fixMappingName = "patchbay-fix";

/** One function that was replaced. Addresses are hex digits: a record is JSON. */
export type PatchedFunction = {
  readonly name: string;
  readonly replacement: string;
  /** The window that leads to the switch, and the bytes that stood there. */
  readonly at: string;
  readonly original: string;
  /** All whole instructions in the window where these had to move; else as `original`. */
  readonly displaced: string;
  /** Code of the old version and of the new one, [start, size]. */
  readonly oldCode: readonly (readonly [string, number])[];
  readonly newCode: readonly [string, number];
  readonly stub: string;
};

export type PatchRecord = {
  readonly name: string;
  /** The fix's file, as the process sees it. */
  readonly file: string;
  readonly buildId?: string;
  /** The module that it changes. */
  readonly module: string;
  /** When it was brought in, ISO 8601. */
  readonly time: string;
  /** From dlopen. */
  readonly handle: string;
  readonly bias: string;
  /** The fix's executable memory, [start, end). */
  readonly text: readonly [string, string];
  /** Its data that the program may keep pointers to, and all that it has mapped. */
  readonly data: readonly (readonly [string, string])[];
  readonly mapped: readonly [string, string];
  readonly functions: readonly PatchedFunction[];
};

/** A record and how the change stands. */
export type FoundPatch = {
  readonly record: PatchRecord;
  readonly base: bigint;
  readonly bytes: number;
  readonly recordBytes: number;
  readonly mode: "old" | "new";
  /** Threads that still run the other version. */
  readonly holding: readonly Tid[];
  /** What whoever carries out the change has last seen of them. */
  readonly heldUp: readonly HeldUp[];
  /** Process that carries out a change; undefined when nobody does. */
  readonly owner: Pid | undefined;
};

/** A record as bytes, filled up with blanks to `room`. */
export function encodeRecord(record: PatchRecord, room = 0): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(record));
  if (room === 0) return bytes;
  assert(bytes.length <= room, "a record fits the room that was made for it");
  const out = new Uint8Array(room).fill(0x20);
  out.set(bytes);
  return out;
}

/** What `encodeRecord` has written; undefined where that is not what stands there. */
export function decodeRecord(text: string): PatchRecord | undefined {
  const json = asObject(parseJson(text));
  const string = (of: JsonObject | undefined, name: string): string =>
    ensure(asString(of?.[name]), `a record has ${name}`);
  const pair = (value: Json | undefined): [string, string] => {
    const [first, second] = asStrings(value) ?? [];
    return [ensure(first, "a range begins"), ensure(second, "a range ends")];
  };
  const code = (value: Json | undefined): [string, number] => {
    const [start, size] = asArray(value) ?? [];
    return [ensure(asString(start), "code begins"), ensure(asCount(size), "code has a size")];
  };
  const toFunction = (value: Json): PatchedFunction => {
    const one = asObject(value);
    return {
      name: string(one, "name"),
      replacement: string(one, "replacement"),
      at: string(one, "at"),
      original: string(one, "original"),
      displaced: string(one, "displaced"),
      stub: string(one, "stub"),
      oldCode: (asArray(one?.["oldCode"]) ?? []).map(code),
      newCode: code(one?.["newCode"]),
    };
  };
  if (json === undefined) return undefined;
  const buildId = asString(json["buildId"]);
  return {
    name: string(json, "name"),
    file: string(json, "file"),
    ...(buildId === undefined ? {} : { buildId }),
    module: string(json, "module"),
    time: string(json, "time"),
    handle: string(json, "handle"),
    bias: string(json, "bias"),
    text: pair(json["text"]),
    data: (asArray(json["data"]) ?? []).map(pair),
    mapped: pair(json["mapped"]),
    functions: (asArray(json["functions"]) ?? []).map(toFunction),
  };
}

/** A thread that holds, and its place in the list. */
export type Holding = { readonly tid: Tid; readonly index: number };

/** The threads that hold; none while nobody has to look at the list. */
export function readHolding(memory: TargetMemory, base: bigint): readonly Holding[] {
  const holding: Holding[] = [];
  if (memory.read(base + BigInt(versionSwitch.switching), 1)[0] === 0) return holding;
  const { list, listEntryBytes } = versionSwitch;
  const size = reportOffset - list;
  const view = new DataView(memory.read(base + BigInt(list), size).buffer);
  for (let at = 0; at < size; at += listEntryBytes) {
    const tid = view.getUint32(at, true);
    if (tid === 0) break;
    if (view.getUint8(at + versionSwitch.holds) === 0) continue;
    holding.push({ tid: toTid(tid), index: at / listEntryBytes });
  }
  return holding;
}

/** The fixes in a process, the earliest first. */
export function findPatches(process: TargetProcess): readonly FoundPatch[] {
  const { memory } = process;
  const found: FoundPatch[] = [];
  for (const { path, offset, start } of process.maps()) {
    if (!path.startsWith(`/memfd:${fixMappingName}`) || offset !== 0) continue;
    const head = new DataView(memory.read(start, versionSwitch.list).buffer);
    if (head.getBigUint64(0, true) !== versionSwitch.magic) continue;
    const recordBytes = head.getUint32(versionSwitch.recordBytes, true);
    const count = head.getUint32(versionSwitch.recordBytes + 4, true);
    const bytes = head.getUint32(versionSwitch.recordBytes + 8, true);
    const text = memory.read(start + BigInt(recordOffset(count)), recordBytes);
    const record = decodeRecord(new TextDecoder().decode(text));
    if (record === undefined) continue;
    const holding = readHolding(memory, start).map(({ tid }) => tid);
    const owner = head.getUint32(versionSwitch.owner, true);
    const ownerStart = Number(head.getBigUint64(versionSwitch.ownerStart, true));
    found.push({
      record,
      base: start,
      bytes,
      recordBytes,
      mode: head.getUint8(versionSwitch.mode) === 0 ? "old" : "new",
      holding,
      heldUp:
        holding.length === 0
          ? []
          : readReport(memory, start).filter(({ tid }) => holding.some((one) => one === tid)),
      owner: owner !== 0 && isAlive(toPid(owner), ownerStart) ? toPid(owner) : undefined,
    });
  }
  const order = (one: FoundPatch): string => one.record.time;
  return found.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}
