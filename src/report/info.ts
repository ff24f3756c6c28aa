/**
 * `info`: what a trace holds: what was recorded, where, how recording ended, and what was lost in
 * each thread. Only the packets' heads are read, so it takes no time even for large traces; all of
 * it where long events can be in it, because packets do not say how many events they have then.
 */
import { wallNsAt } from "../trace/clock.ts";
import type { JsonObject } from "../trace/json.ts";
import { type PacketFields, packetHeaderBytes } from "../trace/packet.ts";
import { PacketReader } from "../trace/packet-reader.ts";
import { formatUuid, sessionClock } from "../trace/session.ts";
import type { Trace, TraceStream } from "../trace/trace.ts";
import { TraceReader } from "../trace/trace-reader.ts";
import {
  clockSteps,
  formatCaveats,
  formatExtent,
  type ThreadSummary,
  type TraceSummary,
  tickNs,
} from "./summary.ts";
import { type Column, formatTable, type Paint } from "./table.ts";
import { formatBytes, formatCount, formatDuration, formatWallTime, plural } from "./units.ts";

/** Part of the `--json` contract. */
export type TraceInfo = {
  readonly uuid: string;
  readonly tool: string;
  readonly command: readonly string[];
  readonly pid: number;
  /** Programs that were recorded besides, which came by exec. */
  readonly followed: readonly { readonly pid: number; readonly command: readonly string[] }[];
  /** Children that were forked and have events, by the times of their forks. */
  readonly forks: readonly {
    readonly pid: number;
    /** Who forked it, as far as that is known. */
    readonly parent: number | undefined;
    readonly thread: number | undefined;
    /** When, in nanoseconds since the first event; undefined where that is not known. */
    readonly atNs: number | undefined;
  }[];
  readonly architecture: string;
  readonly host: string | undefined;
  readonly options: JsonObject;
  /** When the first event happened: ISO 8601, UTC; undefined in an empty trace. */
  readonly began: string | undefined;
  /** How recording ended; undefined while it goes on, or where it was cut short. */
  readonly ended: string | undefined;
  readonly clockHz: number;
  readonly functions: number;
  readonly modules: readonly { readonly path: string; readonly buildId?: string | undefined }[];
  /** Bytes of events and packets' heads. */
  readonly bytes: number;
  readonly summary: TraceSummary;
};

/** Reads the packets' heads of all threads. */
export function readInfo(trace: Trace): TraceInfo {
  const { session } = trace;
  const scans = trace.streams.map((stream) => scanStream(trace, stream));
  const firsts = scans.map((scan) => scan.first?.begin).filter((begin) => begin !== undefined);
  const origin = firsts.reduce((least, begin) => (begin < least ? begin : least), firsts[0] ?? 0n);
  const extra = session.longEvents === false ? new Map<string, number>() : countExtraSlots(trace);
  const threads = scans.map((scan) => threadSummary(trace, scan, origin, extra));
  const seen = threads.filter((thread) => thread.packets > 0);
  const { ringlessEntries = 0, ringlessExits = 0 } = session.end ?? {};
  const beganNs = wallNsAt(sessionClock(session), origin);
  return {
    uuid: formatUuid(session.uuid),
    tool: session.tool,
    command: session.command,
    pid: session.pid,
    followed: (session.images ?? []).map(({ pid, command }) => ({ pid, command })),
    forks: forksSince(trace, origin),
    architecture: session.architecture,
    host: session.host,
    options: session.options,
    began: firsts.length === 0 ? undefined : formatWallTime(beganNs),
    ended: session.end?.reason,
    clockHz: sessionClock(session).frequencyHz,
    functions: trace.functions.count,
    modules: session.modules,
    bytes: scans.reduce((sum, scan) => sum + scan.bytes, 0),
    summary: {
      threads,
      events: threads.reduce((sum, thread) => sum + thread.events, 0),
      lost: threads.reduce((sum, thread) => sum + thread.lost, 0),
      spanNs: Math.max(0, ...seen.map((thread) => thread.endNs)),
      ringless: ringlessEntries + ringlessExits,
      clockSteps: clockSteps(trace),
    },
  };
}

function forksSince(trace: Trace, origin: bigint): TraceInfo["forks"] {
  const ns = tickNs(trace);
  return trace.forks
    .map(({ pid, parent, thread, ticks }) => {
      const atNs = ticks === undefined ? undefined : Number(ticks - origin) * ns;
      return { pid, parent, thread, atNs };
    })
    .sort((a, b) => (a.atNs ?? Number.MAX_VALUE) - (b.atNs ?? Number.MAX_VALUE));
}

type StreamScan = {
  readonly stream: TraceStream;
  readonly first: PacketFields | undefined;
  readonly last: PacketFields | undefined;
  readonly packets: number;
  readonly slots: number;
  readonly bytes: number;
  readonly tornBytes: number;
  readonly damages: ThreadSummary["damages"];
};

function scanStream(trace: Trace, stream: TraceStream): StreamScan {
  const source = stream.open();
  try {
    const reader = new PacketReader(source, trace.session.uuid, packetHeaderBytes);
    let first: PacketFields | undefined;
    let last: PacketFields | undefined;
    let packets = 0;
    let payloadBytes = 0;
    while (reader.nextPacket()) {
      last = reader.packet;
      first ??= last;
      packets++;
      payloadBytes += last?.payloadBytes ?? 0;
    }
    return {
      stream,
      first,
      last,
      packets,
      slots: payloadBytes / 8,
      bytes: payloadBytes + packets * packetHeaderBytes,
      tornBytes: reader.tornBytes,
      damages: reader.damages,
    };
  } finally {
    source.close();
  }
}

/** Slots that are no events of their own, by the name of the stream. */
function countExtraSlots(trace: Trace): ReadonlyMap<string, number> {
  const nobody = { enter: ignore, leave: ignore, point: ignore, orphan: ignore, gap: ignore };
  using reader = new TraceReader(trace, () => nobody);
  reader.readAll();
  const threads = reader.readers.filter((thread) => thread !== undefined);
  return new Map(threads.map(({ stream, totals }) => [stream.name, totals.extraSlots]));
}

const ignore = (): void => undefined;

function threadSummary(
  trace: Trace,
  scan: StreamScan,
  origin: bigint,
  extra: ReadonlyMap<string, number>,
): ThreadSummary {
  const ns = tickNs(trace);
  const { first, last } = scan;
  return {
    tid: last?.tid ?? 0,
    pid: last?.pid ?? 0,
    name: last?.threadName ?? "",
    file: scan.stream.name,
    packets: scan.packets,
    events: scan.slots - (extra.get(scan.stream.name) ?? 0),
    beginNs: first === undefined ? 0 : Number(first.begin - origin) * ns,
    endNs: last === undefined ? 0 : Number(last.end - origin) * ns,
    lost: last?.lost ?? 0,
    lostEntries: last?.lostEntries ?? 0,
    lostExits: last?.lostExits ?? 0,
    tornBytes: scan.tornBytes,
    damages: scan.damages,
    backwards: 0,
  };
}

const columns: readonly Column[] = [
  { title: "thread", align: "right" },
  { title: "events", align: "right" },
  { title: "lost", align: "right" },
  { title: "begins", align: "right" },
  { title: "ends", align: "right" },
  { title: "packets", align: "right", ink: "dim" },
  { title: "name", align: "left", ink: "name" },
];

/** The info for a person. */
export function formatInfo(info: TraceInfo, paint: Paint): readonly string[] {
  const { summary } = info;
  const functions = plural(info.functions, "function");
  const moreFollowed = info.followed.length - followedShown;
  const moreForks = info.forks.length - followedShown;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["command", info.command.join(" ")],
    ["process", `${info.pid}, ${info.architecture}${info.host ? `, on ${info.host}` : ""}`],
    ...info.followed.slice(0, followedShown).map(describeFollowed),
    ["", moreFollowed > 0 ? `and ${plural(moreFollowed, "program")} more` : ""],
    ...info.forks.slice(0, followedShown).map(describeFork),
    ["", moreForks > 0 ? `and ${plural(moreForks, "child", "children")} more` : ""],
    ["began", info.began],
    ["ended", info.ended ?? "not yet, or recording was cut short"],
    ["recorded", `${formatExtent(summary)}, ${formatBytes(info.bytes)}`],
    ["lost", summary.lost === 0 ? "nothing" : plural(summary.lost, "event")],
    ["functions", info.modules.length === 0 ? functions : `${functions} of`],
    ...info.modules.map((module) => ["", describeModule(module)] as const),
    ["options", formatOptions(info.options)],
    ["clock", formatClock(info)],
    ["by", info.tool],
  ];
  const rows = summary.threads.map((thread) => [
    String(thread.tid),
    formatCount(thread.events),
    thread.lost === 0 ? "-" : formatCount(thread.lost),
    formatDuration(thread.beginNs),
    formatDuration(thread.endNs),
    formatCount(thread.packets),
    thread.name,
  ]);
  const table = rows.length === 0 ? [] : ["", ...formatTable(columns, rows, paint)];
  return [
    ...facts
      .filter(([, text]) => text !== undefined && text !== "")
      .map(([title, text]) => `${paint("heading", title.padEnd(10))}${text}`),
    ...table,
    ...formatCaveats(summary).map((line) => paint("warning", line)),
  ];
}

const formatClock = ({ clockHz, summary }: TraceInfo): string =>
  summary.clockSteps === undefined ? `${(clockHz / 1e6).toFixed(3)} MHz` : "coarse";

/** Programs that came by exec, and children, that are named. */
const followedShown = 10;
const describeFollowed = (
  { pid, command }: TraceInfo["followed"][number],
  index: number,
): readonly [string, string] => [index === 0 ? "then" : "", `${command.join(" ")} (${pid})`];

const describeFork = (
  { pid, parent, thread, atNs }: TraceInfo["forks"][number],
  index: number,
): readonly [string, string] => {
  const by = thread === undefined ? [] : [`by thread ${thread}`];
  const of = parent === undefined ? [] : [`${by.length > 0 ? "of" : "by"} process ${parent}`];
  const at = atNs === undefined ? [] : [`at ${formatDuration(atNs)}`];
  return [index === 0 ? "forked" : "", [pid, ...by, ...of, ...at].join(" ")];
};

const describeModule = (module: TraceInfo["modules"][number]): string =>
  module.buildId === undefined ? module.path : `${module.path}, build-id ${module.buildId}`;

const formatOptions = (options: JsonObject): string =>
  Object.entries(options)
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
