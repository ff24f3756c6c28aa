/** The worker that writes a trace in another tool's format, a piece whenever one is asked for. */
import { PatchbayError } from "../base/error.ts";
import { exporters } from "../report/exporters.ts";
import { openTrace } from "../session/open-trace.ts";
import { serve } from "../session/worker-rpc.ts";

export type ExportHandlers = {
  begin(path: string, format: string, threads: readonly number[] | undefined): void;
  /** The next piece; `null` at the end. */
  next(): Uint8Array | null;
};

let pieces: Iterator<Uint8Array> | undefined;

const handlers: ExportHandlers = {
  begin: (path, format, threads) => {
    const exporter = exporters.get(format);
    if (exporter === undefined) {
      const why = "there is no such format";
      throw new PatchbayError({ code: "bad-usage", doing: `export to ${format}`, why });
    }
    pieces = exporter(openTrace(path), { threads })[Symbol.iterator]();
  },
  next: () => {
    const { value, done } = pieces?.next() ?? { value: undefined, done: true };
    return done === true ? null : (value ?? null);
  },
};

serve(handlers);
