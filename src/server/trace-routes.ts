/** What can be asked about a trace. */
import type { Context, Hono } from "hono";
import { PatchbayError } from "../base/error.ts";
import type { StretchRequest } from "./api.ts";
import { badRequest, queryNumber, queryNumbers } from "./request.ts";
import type { TraceService } from "./trace-service.ts";

/** Ticks that a double counts exactly. */
const ticksMax = Number.MAX_SAFE_INTEGER;
const time = { min: -ticksMax, max: ticksMax, fraction: true };
const site = { min: 0, max: 2 ** 24 };
const threadsMax = 10_000;
/** Tiles in one request; more than a screen has. */
const tilesMax = 64;

export function addTraceRoutes(app: Hono, service: () => TraceService | undefined): void {
  const get = (path: string, answer: (trace: TraceService, context: Context) => unknown): void => {
    app.get(path, async (context) => {
      const answered = await answer(getTrace(service()), context);
      return answered instanceof Response ? answered : context.json(answered);
    });
  };
  get("/api/trace", (trace) => trace.info());
  get("/api/trace/functions", (trace) => trace.functions());
  get("/api/trace/tiles", sendTiles);
  get("/api/trace/call", (trace, context) =>
    trace.call(
      threadOf(context),
      queryNumber(context, "time", time),
      queryNumber(context, "depth", { min: 0, max: 1 << 20 }),
      queryNumber(context, "slack", { ...time, min: 0 }),
    ),
  );
  get("/api/trace/next", (trace, context) => {
    const sites = queryNumbers(context, "sites", 1000);
    if (sites.length === 0) throw badRequest("find a call", "no function is named");
    const back = context.req.query("back") === "1";
    const threads = queryNumbers(context, "threads", threadsMax);
    return trace.next(threads, sites, queryNumber(context, "time", time), back);
  });
  get("/api/trace/selection", (trace, context) => trace.selection(stretchOf(context)));
  get("/api/trace/relatives", (trace, context) =>
    trace.relatives(stretchOf(context), queryNumber(context, "site", site)),
  );
  get("/api/trace/source", (trace, context) => trace.source(queryNumber(context, "site", site)));
  get("/api/trace/export", sendExport);
}

function getTrace(service: TraceService | undefined): TraceService {
  if (service !== undefined) return service;
  throw new PatchbayError({
    code: "no-match",
    doing: "look into the trace",
    why: "none is open here",
    hint: "patchbay ui DIR opens one",
  });
}

const threadOf = (context: Context): number =>
  queryNumber(context, "thread", { min: 0, max: threadsMax });

function stretchOf(context: Context): StretchRequest {
  const from = queryNumber(context, "from", time);
  const to = queryNumber(context, "to", time);
  if (from > to) throw badRequest("read the stretch", "it ends before it begins");
  return { from, to, threads: queryNumbers(context, "threads", threadsMax) };
}

async function sendTiles(trace: TraceService, context: Context): Promise<Response> {
  const bytes = await trace.tiles(
    threadOf(context),
    queryNumber(context, "level", { min: 0, max: 60 }),
    queryNumber(context, "first", { min: 0, max: 2 ** 44 }),
    queryNumber(context, "count", { min: 1, max: tilesMax }),
  );
  const own = new Uint8Array(bytes);
  return context.body(own, 200, { "content-type": "application/octet-stream" });
}

async function sendExport(trace: TraceService, context: Context): Promise<Response> {
  const format = context.req.query("format") ?? "";
  const stream = await trace.export(format, queryNumbers(context, "threads", threadsMax));
  return context.body(stream, 200, {
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename="trace.${extensions[format] ?? format}"`,
  });
}

/** What other tools expect their files to be called. */
const extensions: Readonly<Record<string, string>> = {
  chrome: "json",
  perfetto: "pftrace",
  speedscope: "speedscope.json",
  mermaid: "mmd",
};
