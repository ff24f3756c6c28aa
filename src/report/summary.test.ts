import { expect, it } from "vitest";
import { packetOf, traceOf } from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import { TraceReader } from "../trace/trace-reader.ts";
import { formatCaveats, summarize } from "./summary.ts";

const ignore = (): void => undefined;
const nobody = { enter: ignore, leave: ignore, point: ignore, orphan: ignore, gap: ignore };

it("names files in which nothing of the trace is, and says nothing of empty ones", () => {
  const packet = packetOf([{ kind: eventKind.entry, time: 2_000_000, site: 0 }]);
  const trace = traceOf([{ tid: 7, name: "main", packets: [packet] }]);
  const file = (name: string, sizeBytes: number) => ({
    name,
    open: () => ({ sizeBytes, read: () => 0, close: ignore }),
  });
  const streams = [...trace.streams, file("thread-9", 100), file("thread-10", 0)];
  const whole = { ...trace, streams };
  using reader = new TraceReader(whole, () => nobody);
  reader.readAll();
  expect(formatCaveats(summarize(whole, reader))).toEqual([
    "thread-9 holds no whole packet of this trace: nothing in it is shown",
  ]);
});
