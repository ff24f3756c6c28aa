/**
 * The worker behind the trace view: reads threads once to index them, and answers what the page
 * asks from the indices. Two of them run: one for pictures, which have to be quick, and one for
 * sums over long stretches; both index.
 */

import { assert, ensure } from "../base/assert.ts";
import { PatchbayError } from "../base/error.ts";
import { callAt, type FoundCall, nextCall } from "../report/timeline/find-calls.ts";
import { planTimeline, type TimelinePlan } from "../report/timeline/plan.ts";
import {
  type ProfileNode,
  type ProfileRow,
  type Relative,
  SelectionProfile,
} from "../report/timeline/selection-profile.ts";
import { type ThreadIndex, ThreadIndexer } from "../report/timeline/thread-index.ts";
import { TileMaker } from "../report/timeline/tiles.ts";
import { openTrace } from "../session/open-trace.ts";
import { serve } from "../session/worker-rpc.ts";
import type { Trace } from "../trace/trace.ts";
import { encodeTiles } from "./tile-bytes.ts";

/** Which stretch of which threads. */
export type Stretch = {
  readonly from: number;
  readonly to: number;
  readonly threads: readonly number[];
};

export type Profile = {
  readonly rows: readonly ProfileRow[];
  readonly nodes: readonly ProfileNode[];
  readonly hiddenNodes: number;
  readonly busy: number;
  readonly lost: number;
};

/** Functions that the worker serves. */
export type TimelineHandlers = {
  open(path: string): TimelinePlan;
  /** Begins to index a thread; what was begun before is done or dropped. */
  begin(thread: number): void;
  /** Indexes for about so many ms; gives what is known by then. */
  step(ms: number): ThreadIndex;
  /** Takes what another worker, or this one, found out. */
  put(index: ThreadIndex): void;
  tiles(thread: number, level: number, first: number, count: number): Uint8Array;
  call(thread: number, time: number, depth: number, slack: number): FoundCall | null;
  next(thread: number, sites: readonly number[], time: number, back: boolean): Found | null;
  profile(stretch: Stretch): Profile;
  relatives(
    stretch: Stretch,
    site: number,
  ): { readonly callers: readonly Relative[]; readonly callees: readonly Relative[] };
};

export type Found = FoundCall["call"];

/** Nodes of a flame graph that are sent: more than there are pixels in a row of it, many times. */
const nodesMax = 20_000;
/** Nodes that take less of the stretch are too narrow to be seen. */
const shareMin = 1 / 8000;

let trace: Trace | undefined;
let plan: TimelinePlan | undefined;
let indexer: ThreadIndexer | undefined;
const indices = new Map<number, ThreadIndex>();
const makers = new Map<number, TileMaker>();
/** The stretch that was asked for last: its callers and callees come next. */
let latest: { readonly key: string; readonly profile: SelectionProfile } | undefined;

const getTrace = (): Trace => ensure(trace, "open comes first");
const getOrigin = (): bigint => ensure(plan, "open comes first").origin;

/** A thread's index, which is whole. */
function getWhole(thread: number): ThreadIndex {
  const index = indices.get(thread);
  if (index?.isWhole === true) return index;
  throw new PatchbayError({
    code: "unsupported",
    doing: `look into thread ${thread}`,
    why: "its events are still being read",
    hint: "it takes a moment more",
  });
}

function profileOf(stretch: Stretch): SelectionProfile {
  const key = JSON.stringify(stretch);
  if (latest?.key === key) return latest.profile;
  const profile = new SelectionProfile();
  for (const thread of stretch.threads) {
    profile.add(getTrace(), getOrigin(), getWhole(thread), stretch.from, stretch.to);
  }
  latest = { key, profile };
  return profile;
}

const handlers: TimelineHandlers = {
  open: (path) => {
    trace = openTrace(path);
    plan = planTimeline(trace);
    return plan;
  },
  begin: (thread) => {
    indexer?.close();
    const { threads } = ensure(plan, "open comes first");
    const own = ensure(threads[thread], "thread");
    indexer = new ThreadIndexer(getTrace(), ensure(plan, "plan"), own);
  },
  step: (ms) => {
    const current = ensure(indexer, "begin comes first");
    const end = performance.now() + ms;
    while (current.step() && performance.now() < end);
    return current.index;
  },
  put: (index) => {
    const { index: thread } = index.plan;
    indices.set(thread, index);
    makers.set(thread, new TileMaker(getTrace(), getOrigin(), index));
  },
  tiles: (thread, level, first, count) => {
    const maker = makers.get(thread);
    return encodeTiles(maker === undefined ? [] : maker.tiles(level, first, count));
  },
  call: (thread, time, depth, slack) =>
    callAt(getTrace(), getOrigin(), getWhole(thread), time, depth, slack) ?? null,
  next: (thread, sites, time, back) =>
    nextCall(getTrace(), getOrigin(), getWhole(thread), new Set(sites), time, back) ?? null,
  profile: (stretch) => {
    assert(stretch.from <= stretch.to, "a stretch has a length");
    const profile = profileOf(stretch);
    const rows = profile.rows();
    const nodes = profile.nodes((stretch.to - stretch.from) * shareMin, nodesMax);
    const hiddenNodes = profile.tree.count - 1 - nodes.length;
    return { rows, nodes, hiddenNodes, busy: profile.busy, lost: profile.lost };
  },
  relatives: (stretch, site) => profileOf(stretch).relatives(site),
};

serve(handlers);
