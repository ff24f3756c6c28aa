import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type History, historyOf, moves } from "../../../test/support/random-calls.ts";
import { functionNamed, packetsOf, traceOf } from "../../../test/support/trace-builder.ts";
import type { Trace } from "../../trace/trace.ts";
import { cellCover, cellSite } from "./cells.ts";
import { callAt, nextCall } from "./find-calls.ts";
import { planTimeline, type TimelinePlan } from "./plan.ts";
import { SelectionProfile } from "./selection-profile.ts";
import { type ThreadIndex, ThreadIndexer } from "./thread-index.ts";
import { TileMaker, tileColumns } from "./tiles.ts";
import { readWindow, type Span } from "./window.ts";

type Indexed = { readonly trace: Trace; readonly plan: TimelinePlan; readonly index: ThreadIndex };

/**
 * A thread's history in packets of these sizes, with a mark at each of them.
 * @param before another thread's time begins long before it.
 */
function indexed(history: History, sizes: readonly number[], before = false): Indexed | undefined {
  if (history.events.length === 0) return undefined;
  const functions = [0, 1, 2, 3].map((site) => functionNamed(site, `f${site}`));
  const other = [{ kind: 0, time: 0, site: 0 }] as const;
  const packets = packetsOf(history.events, sizes);
  const trace = traceOf(
    before
      ? [
          { tid: 1, packets },
          { tid: 2, packets: packetsOf(other, []) },
        ]
      : [{ tid: 1, packets }],
    functions,
  );
  const plan = planTimeline(trace);
  const [thread] = plan.threads;
  if (thread === undefined) return undefined;
  const indexer = new ThreadIndexer(trace, plan, thread, 1);
  while (indexer.step());
  return { trace, plan, index: indexer.index };
}

const histories = fc.tuple(moves(200), fc.array(fc.integer({ min: 1, max: 20 })));
const stretch = fc.tuple(fc.nat({ max: 1200 }), fc.nat({ max: 400 }));

/** Calls that run in a stretch; a call's end is the end of the trace where it has none. */
function truth(history: History, from: number, to: number) {
  const first = history.events[0]?.time ?? 0;
  const last = (history.events.at(-1)?.time ?? 0) - first;
  return history.calls
    .map((call) => ({
      ...call,
      start: call.start - first,
      end: (call.end ?? last + first) - first,
    }))
    .filter((call) => call.end >= from && call.start < to);
}

const key = (span: { site: number; start: number; end: number; depth: number }): string =>
  `${span.start} ${span.depth} ${span.site} ${span.end}`;

describe("a timeline", () => {
  it("reads the calls of any stretch from the mark before it", () => {
    fc.assert(
      fc.property(histories, stretch, ([list, sizes], [from, length]) => {
        const history = historyOf(list);
        const found = indexed(history, sizes);
        if (found === undefined) return;
        const to = from + length;
        const spans: Span[] = [];
        readWindow(found.trace, found.plan.origin, found.index, from, to, {
          span: (site, start, end, depth, how, goesOn) =>
            spans.push({ site, start, end, depth, how, goesOn }),
        });
        const expected = truth(history, from, to).map((c) => ({ ...c, end: Math.min(c.end, to) }));
        expect(spans.map(key).sort()).toEqual(expected.map(key).sort());
      }),
    );
  });

  it("makes tiles of any place and zoom, before, in and behind the thread's time", () => {
    fc.assert(
      fc.property(
        histories,
        fc.integer({ min: 0, max: 20 }),
        fc.nat({ max: 20 }),
        ([list, sizes], level, first) => {
          const found = indexed(historyOf(list, 100_000), sizes, true);
          if (found === undefined) return;
          const maker = new TileMaker(found.trace, found.plan.origin, found.index);
          expect(maker.tiles(level, first, 2).map(({ tile }) => tile)).toEqual([first, first + 1]);
        },
      ),
    );
  });

  it("shows the same calls in tiles, whatever their zoom and their number", () => {
    fc.assert(
      fc.property(
        histories,
        fc.integer({ min: -6, max: 0 }),
        fc.integer({ min: 1, max: 4 }),
        ([list, sizes], below, count) => {
          const history = historyOf(list);
          const found = indexed(history, sizes);
          if (found === undefined) return;
          const level = found.index.plan.grid.level + below;
          const maker = new TileMaker(found.trace, found.plan.origin, found.index);
          const width = tileColumns * 2 ** level;
          for (const tile of maker.tiles(level, 0, count)) {
            const [from, to] = [tile.tile * width, (tile.tile + 1) * width];
            const expected = truth(history, from, to);
            if (tile.kind === "spans") {
              const starts = new Set(tile.spans.map((s) => `${s.site} ${s.start} ${s.depth}`));
              for (const call of expected) {
                expect(starts).toContain(`${call.site} ${call.start} ${call.depth}`);
              }
            } else {
              for (const call of expected.filter(({ start }) => start >= from)) {
                const column = Math.floor((call.start - from) / 2 ** level);
                const cell = tile.cells[call.depth * tileColumns + column] ?? 0;
                expect(cellCover(cell)).toBeGreaterThan(0);
                expect(cellSite(cell)).toBeGreaterThanOrEqual(0);
              }
            }
          }
        },
      ),
    );
  });

  it("profiles a stretch as adding up its calls does", () => {
    fc.assert(
      fc.property(histories, stretch, ([list, sizes], [from, length]) => {
        const history = historyOf(list);
        const found = indexed(history, sizes);
        if (found === undefined) return;
        const to = from + length;
        const profile = new SelectionProfile();
        profile.add(found.trace, found.plan.origin, found.index, from, to);
        const calls = truth(history, from, to);
        for (const row of profile.rows()) {
          const own = calls.filter(({ site }) => site === row.site);
          expect(row.calls).toBe(own.length);
          const whole = own.filter((c) => c.exit !== undefined && c.start >= from && c.end <= to);
          expect(row.complete).toBe(whole.length);
          expect(row.sum).toBe(whole.reduce((sum, c) => sum + c.end - c.start, 0));
        }
        const selves = profile.rows().reduce((sum, row) => sum + row.self, 0);
        expect(selves).toBe(profile.busy);
        const outermost = calls.filter(({ depth }) => depth === 0);
        const busy = outermost.reduce(
          (sum, c) => sum + Math.min(c.end, to) - Math.max(c.start, from),
          0,
        );
        expect(profile.busy).toBe(busy);
      }),
    );
  });

  it("finds a call at its place, with its end, and the next one of a function", () => {
    fc.assert(
      fc.property(histories, fc.nat(), ([list, sizes], pick) => {
        const history = historyOf(list);
        const found = indexed(history, sizes);
        if (found === undefined) return;
        const { trace, plan, index } = found;
        const calls = truth(history, 0, Infinity);
        const call = calls[pick % calls.length];
        if (call === undefined || call.end === call.start) return;
        const at = callAt(trace, plan.origin, index, call.start, call.depth, 0);
        // Two calls can share a moment: the one that runs longer there is meant.
        expect(at?.call.depth).toBe(call.depth);
        expect(at?.around.map(({ depth }) => depth)).toEqual(
          Array.from({ length: call.depth }, (_, depth) => depth),
        );
        const later = calls.filter((c) => c.site === call.site && c.start > call.start);
        const next = nextCall(trace, plan.origin, index, new Set([call.site]), call.start, false);
        expect(next?.start).toBe(
          later.length === 0 ? undefined : Math.min(...later.map(({ start }) => start)),
        );
        const before = calls.filter((c) => c.site === call.site && c.start < call.start);
        const last = nextCall(trace, plan.origin, index, new Set([call.site]), call.start, true);
        expect(last?.start).toBe(
          before.length === 0 ? undefined : Math.max(...before.map(({ start }) => start)),
        );
      }),
    );
  });
});
