/**
 * speedscope's own format (https://www.speedscope.app/file-format-schema.json): for each thread an
 * "evented" profile, frames that open and close in the order of time, in nanoseconds since the
 * trace's beginning.
 */
import type { Trace } from "../trace/trace.ts";
import type { TraceThread } from "../trace/trace-reader.ts";
import { ByteWriter, utf8 } from "./byte-writer.ts";
import { type ExportOptions, type ExportVisitor, exportThreads, shownSites } from "./export.ts";
import { tickNs } from "./summary.ts";

/** Pieces of the file. */
export function* exportSpeedscope(trace: Trace, options: ExportOptions): Generator<Uint8Array> {
  const out = new ByteWriter();
  const frames = new FrameNumbers();
  out.text('{"$schema":"https://www.speedscope.app/file-format-schema.json",');
  out.text(`"exporter":${JSON.stringify(trace.session.tool)},`);
  out.text(`"name":${JSON.stringify(trace.session.command.join(" "))},"profiles":[`);
  let isFirst = true;
  yield* exportThreads(trace, options, out, (thread) => {
    if (!isFirst) out.text(",");
    isFirst = false;
    return profileVisitor(trace, options, out, frames, thread);
  });
  out.text('\n],"shared":{"frames":[');
  frames.sites.forEach((site, i) => {
    const { file, line } = trace.functions.find(site) ?? {};
    const frame = { name: trace.functions.name(site), file, line };
    out.text(`${i === 0 ? "" : ","}\n${JSON.stringify(frame)}`);
  });
  out.text("]}}\n");
  yield out.take();
}

/** Frames are numbered as they are met, so that the file names only functions that were called. */
class FrameNumbers {
  readonly sites: number[] = [];
  readonly #bySite = new Map<number, Uint8Array>();

  /** The frame's number and what follows it in an event. */
  text(site: number): Uint8Array {
    const known = this.#bySite.get(site);
    if (known !== undefined) return known;
    const made = utf8(`${this.sites.length},"at":`);
    this.#bySite.set(site, made);
    this.sites.push(site);
    return made;
  }
}

const opens = utf8('{"type":"O","frame":');
const closes = utf8('{"type":"C","frame":');
const comma = utf8(",\n");

function profileVisitor(
  trace: Trace,
  options: ExportOptions,
  out: ByteWriter,
  frames: FrameNumbers,
  { first }: TraceThread,
): ExportVisitor {
  const ns = tickNs(trace);
  const shows = shownSites(trace, options);
  const name = JSON.stringify(`${first.threadName} (${first.tid})`);
  out.text(`\n{"type":"evented","name":${name},"unit":"nanoseconds","events":[\n`);
  let begin: number | undefined;
  let end = 0;
  const event = (kind: Uint8Array, site: number, time: number): void => {
    if (begin !== undefined) out.bytes(comma);
    begin ??= time;
    end = time;
    out.bytes(kind);
    out.bytes(frames.text(site));
    out.thousandths(time * ns);
    out.byte(0x7d);
  };
  return {
    enter: (site, time) => {
      if (shows(site)) event(opens, site, time);
    },
    leave: (site, _start, time) => {
      if (shows(site)) event(closes, site, time);
    },
    point: (site, time) => {
      if (!shows(site)) return;
      event(opens, site, time);
      event(closes, site, time);
    },
    orphan: () => undefined,
    gap: () => undefined,
    finish: () => {
      out.text('],"startValue":');
      out.thousandths((begin ?? 0) * ns);
      out.text(',"endValue":');
      out.thousandths(end * ns);
      out.text("}");
    },
  };
}
