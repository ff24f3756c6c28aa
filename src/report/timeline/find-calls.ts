/** Finding single calls: the one at a place of the picture, and the next one of some function. */
import type { CallEnd } from "../../trace/call-stack.ts";
import type { Trace } from "../../trace/trace.ts";
import type { ThreadIndex } from "./thread-index.ts";
import { readWindow, type Span, segmentAt } from "./window.ts";

/** A call and those around it, the outermost first. */
export type FoundCall = {
  readonly call: CallFacts;
  readonly around: readonly CallFacts[];
};

export type CallFacts = {
  readonly site: number;
  readonly start: number;
  /** The last moment that is known, for a call that is still open in the trace. */
  readonly end: number;
  readonly depth: number;
  readonly how: CallEnd;
};

/** A call's end is looked for so far, in columns of the index; longer calls are in the index. */
const reachColumns = 128;

/**
 * The call that covers `time` at `depth`, or one that begins up to `slack` ticks before or after:
 * a pixel is wider than most calls.
 */
export function callAt(
  trace: Trace,
  origin: bigint,
  index: ThreadIndex,
  time: number,
  depth: number,
  slack: number,
): FoundCall | undefined {
  const reach = reachColumns * 2 ** index.plan.grid.level;
  const from = Math.max(0, time - slack);
  const near: Span[] = [];
  const outer: Span[] = [];
  readWindow(trace, origin, index, from, time + slack + 1, {
    span: (site, start, end, at, how, goesOn) => {
      if (at === depth) near.push({ site, start, end, depth: at, how, goesOn });
      if (at < depth) outer.push({ site, start, end, depth: at, how, goesOn });
    },
  });
  const distance = (span: Span): number =>
    time < span.start ? span.start - time : time > span.end ? time - span.end : 0;
  const [found] = near.toSorted(
    (a, b) => distance(a) - distance(b) || b.end - b.start - (a.end - a.start),
  );
  if (found === undefined) return undefined;
  const around = outer.filter((span) => span.start <= found.start && span.end >= found.end);
  const open = [found, ...around].filter((span) => span.goesOn);
  const ends = endsOf(trace, origin, index, open, time + slack + 1, reach);
  const whole = (span: Span): CallFacts => {
    const end = ends.get(span) ?? { end: span.end, how: span.how };
    return { site: span.site, start: span.start, depth: span.depth, ...end };
  };
  return {
    call: whole(found),
    around: around.toSorted((a, b) => a.depth - b.depth).map(whole),
  };
}

type Ending = { readonly end: number; readonly how: CallEnd };

/** How calls end that go on behind `from`. */
function endsOf(
  trace: Trace,
  origin: bigint,
  index: ThreadIndex,
  spans: readonly Span[],
  from: number,
  reach: number,
): ReadonlyMap<Span, Ending> {
  const ends = new Map<Span, Ending>();
  const isSame = (span: Span, site: number, start: number, depth: number): boolean =>
    span.site === site && span.start === start && span.depth === depth;
  for (const span of spans) {
    const long = index.long.find((call) => isSame(span, call.site, call.start, call.depth));
    if (long !== undefined) ends.set(span, { end: long.end, how: long.how });
  }
  const rest = spans.filter((span) => !ends.has(span));
  if (rest.length === 0) return ends;
  readWindow(trace, origin, index, from, from + reach, {
    span: (site, start, end, depth, how) => {
      const span = rest.find((one) => isSame(one, site, start, depth));
      if (span !== undefined) ends.set(span, { end, how });
    },
  });
  return ends;
}

/** The first call of one of `sites` that begins after `time`; `backwards`: the last one before. */
export function nextCall(
  trace: Trace,
  origin: bigint,
  index: ThreadIndex,
  sites: ReadonlySet<number>,
  time: number,
  backwards: boolean,
): CallFacts | undefined {
  const { segments, plan } = index;
  const has = (at: number): boolean => {
    const seen = segments[at]?.seen;
    return [...sites].some((site) => (((seen?.[site >> 3] ?? 0) >> (site & 7)) & 1) === 1);
  };
  const step = backwards ? -1 : 1;
  for (let at = segmentAt(segments, time); at >= 0 && at < segments.length; at += step) {
    if (!has(at)) continue;
    const from = segments[at]?.mark.time ?? 0;
    const to = (segments[at + 1]?.mark.time ?? plan.end) + 1;
    let best: CallFacts | undefined;
    readWindow(trace, origin, index, from, to, {
      span: (site, start, end, depth, how) => {
        if (!sites.has(site) || start < from) return;
        if (backwards ? start >= time : start <= time) return;
        const isBetter =
          best === undefined || (backwards ? start > best.start : start < best.start);
        if (isBetter) best = { site, start, end, depth, how };
      },
    });
    if (best !== undefined) return best;
  }
  return undefined;
}
