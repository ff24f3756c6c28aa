/**
 * uftrace's data directory, in its file version 4 (`uftrace.h`, `cmds/info.c`, `utils/data-file.c`,
 * `utils/session.c` and `utils/symbol.c` of its sources): `info`, `task.txt`, a map of modules, a
 * file of symbols for each, and a file of records for each thread id. Times are nanoseconds of the
 * wall clock. Every entry has its exit, or uftrace would mistake all that comes after it: where the
 * end of a call is not known, it is the last moment at which the call is known to have run.
 */
import type { CallVisitor } from "../trace/call-stack.ts";
import { wallNsAt } from "../trace/clock.ts";
import { formatUuid, sessionClock } from "../trace/session.ts";
import type { Trace } from "../trace/trace.ts";
import { TraceReader, type TraceThread } from "../trace/trace-reader.ts";
import { utf8 } from "./byte-writer.ts";
import { type ExportOptions, type FilePiece, shownSites } from "./export.ts";
import { commandOf } from "./processes.ts";
import { checkSelection, wantsThread } from "./selection.ts";
import { tickNs } from "./summary.ts";
import { modulePath, oneLine, placeSymbols } from "./uftrace-symbols.ts";

/** `enum uftrace_record_type`. */
const recordType = { entry: 0, exit: 1, event: 3 } as const;
/** `RECORD_MAGIC`, in bits 3 to 5 of a record's second word. */
const recordMagic = 5;
/** Bits 6 to 15; uftrace counts for itself, and looks there where a thread begins. */
const depthFieldMax = 1023;
/** `enum uftrace_feat_bits`: TASK_SESSION, SYM_REL_ADDR, MAX_STACK and EVENT. */
const features = 0x02 | 0x20 | 0x40 | 0x80;
/** `enum uftrace_info_bits`: EXE_NAME, CMDLINE and TASKINFO, the lines behind the header. */
const infoLines = 0x01 | 0x08 | 0x80;
const fileVersion = 4;
const headerBytes = 40;
/** Calls in each other for which uftrace makes room: so many at least, and as many at the most. */
const stackMin = 1024;
const stackMax = 65_534;
/** Events from this number on are named in `events.txt` (`EVENT_ID_USER`). */
const lostEvent = 1_000_000;

/** Pieces of the directory's files; `info`, without which uftrace sees nothing, comes last. */
export function* exportUftrace(trace: Trace, options: ExportOptions): Generator<FilePiece> {
  checkSelection(trace, options);
  const symbols = placeSymbols(trace.functions);
  const shows = shownSites(trace, options);
  const wants = wantsThread(options);
  using reader: TraceReader = new TraceReader(
    trace,
    ({ first }) => recordVisitor(records, `${first.tid}.dat`, symbols.addresses, shows),
    { wants },
  );
  const originNs = wallNsAt(sessionClock(trace.session), reader.origin);
  const records = new Records(originNs, tickNs(trace));
  while (reader.step()) yield* records.take();
  records.end();
  yield* records.take();
  const threads = reader.threads.filter(wants);
  const sid = formatUuid(trace.session.uuid).replaceAll("-", "").slice(0, 16);
  yield textFile(`sid-${sid}.map`, symbols.map);
  for (const { file, text } of symbols.files) yield textFile(file, text);
  yield textFile("task.txt", tasks(trace, threads, sid, originNs));
  yield textFile("events.txt", `EVENT: ${lostEvent} patchbay:lost\n`);
  yield textFile("default.opts", "");
  yield { file: "info", bytes: [infoHeader(records.deepest), utf8(infoText(trace, threads))] };
}

const textFile = (file: string, text: string): FilePiece => ({ file, bytes: [utf8(text)] });

/** A thread's calls, one record for each entry and each exit, into the file of its thread id. */
function recordVisitor(
  records: Records,
  file: string,
  addresses: Float64Array,
  shows: (site: number) => boolean,
): CallVisitor {
  records.begin(file);
  const address = (site: number): number => addresses[site] ?? 0;
  return {
    enter: (site, time) => {
      if (shows(site)) records.enter(address(site), time);
    },
    leave: (site, _start, end) => {
      if (shows(site)) records.leave(address(site), end);
    },
    point: (site, time) => {
      if (!shows(site)) return;
      records.enter(address(site), time);
      records.leave(address(site), time);
    },
    orphan: () => undefined,
    gap: (_lost, from) => records.lost(from),
  };
}

const recordBytes = 16;
const pieceBytes = recordBytes << 14;
const word = 2 ** 32;

/** The files of records, one after the other. */
class Records {
  /** The most calls that were in each other, of all threads. */
  deepest = 0;
  #pieces: FilePiece[] = [];
  #file = "";
  #bytes: Uint8Array = new Uint8Array(pieceBytes);
  #view: DataView = new DataView(this.#bytes.buffer);
  #at = 0;
  #depth = 0;
  readonly #originHigh: number;
  readonly #originLow: number;
  readonly #ns: number;

  /** @param originNs the wall clock where ticks are 0. @param ns in a tick. */
  constructor(originNs: bigint, ns: number) {
    this.#originHigh = Number(originNs >> 32n);
    this.#originLow = Number(BigInt.asUintN(32, originNs));
    this.#ns = ns;
  }

  /** What there is by now; the caller's own. */
  take(): readonly FilePiece[] {
    return this.#pieces.splice(0);
  }

  /** What follows goes to the end of that file, which is there then even if nothing does. */
  begin(file: string): void {
    this.end();
    this.#file = file;
    this.#depth = 0;
    this.#pieces.push({ file, bytes: [] });
  }

  end(): void {
    if (this.#at === 0) return;
    this.#pieces.push({ file: this.#file, bytes: [this.#bytes.subarray(0, this.#at)] });
    this.#bytes = new Uint8Array(pieceBytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#at = 0;
  }

  enter(address: number, time: number): void {
    if (this.#depth < stackMax) this.#add(recordType.entry, address, time);
    this.#depth++;
    if (this.#depth > this.deepest) this.deepest = this.#depth;
  }

  leave(address: number, time: number): void {
    this.#depth--;
    if (this.#depth < stackMax) this.#add(recordType.exit, address, time);
  }

  /** Not uftrace's own record of a loss: it would have the calls that go on begin anew. */
  lost(time: number): void {
    this.#add(recordType.event, lostEvent, time);
  }

  #add(type: number, address: number, time: number): void {
    const low = this.#originLow + Math.round(time * this.#ns);
    const carry = Math.floor(low / word);
    const depth = Math.min(this.#depth, depthFieldMax);
    const view = this.#view;
    view.setUint32(this.#at, low - carry * word, true);
    view.setUint32(this.#at + 4, this.#originHigh + carry, true);
    const head = type | (recordMagic << 3) | (depth << 6);
    view.setUint32(this.#at + 8, ((address % 0x1_0000) * 0x1_0000 + head) % word, true);
    view.setUint32(this.#at + 12, Math.floor(address / 0x1_0000), true);
    this.#at += recordBytes;
    if (this.#at === pieceBytes) this.end();
  }
}

/** A session for each process, all with the same modules, and the threads. */
function tasks(
  trace: Trace,
  threads: readonly TraceThread[],
  sid: string,
  originNs: bigint,
): string {
  const second = 1_000_000_000n;
  const stamp = `timestamp=${originNs / second}.${String(originNs % second).padStart(9, "0")}`;
  const processes = new Map(threads.map((thread) => [thread.first.pid, thread]));
  const sessions = [...processes].map(([pid, thread]) => {
    const name = modulePath(commandOf(trace.session, thread)[0] ?? "");
    return `SESS ${stamp} pid=${pid} sid=${sid} exename="${name}"\n`;
  });
  const lines = threads.map(({ first }) => `TASK ${stamp} tid=${first.tid} pid=${first.pid}\n`);
  return [...sessions, ...lines].join("");
}

/** `struct uftrace_file_header`. */
function infoHeader(deepest: number): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(utf8("Ftrace!\0"));
  view.setUint32(8, fileVersion, true);
  view.setUint16(12, headerBytes, true);
  // EI_DATA and EI_CLASS, as in ELF: little-endian, 64 bits.
  view.setUint8(14, 1);
  view.setUint8(15, 2);
  view.setBigUint64(16, BigInt(features), true);
  view.setBigUint64(24, BigInt(infoLines), true);
  view.setUint16(32, Math.min(Math.max(deepest + 1, stackMin), stackMax + 1), true);
  return bytes;
}

function infoText({ session }: Trace, threads: readonly TraceThread[]): string {
  const tids = [...new Set(threads.map(({ first }) => first.tid))];
  const lines = [
    `exename:${modulePath(session.command[0] ?? "")}`,
    `cmdline:${oneLine(session.command.join(" "))}`,
    "taskinfo:lines=2",
    `taskinfo:nr_tid=${tids.length}`,
    `taskinfo:tids=${tids.join(",")}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}
