/**
 * What server and page say to each other: the types of the answers' JSON. The page's sources import
 * them too, so nothing but types is in here.
 */
import type { Trace as ProtocolTrace } from "../model/show/replay.ts";
import type { LiveSample } from "./live-api.ts";

/** Any refusal or failure: one line for a person, and which kind of failure it is. */
export type ApiError = { readonly error: string; readonly code: string };

export type About = {
  /** The trace's directory as it was given. */
  readonly trace: string | undefined;
  /** The process to look at. */
  readonly pid: number | undefined;
};

/** One thread of a trace; times in ticks since the trace's origin. */
export type TraceThreadInfo = {
  readonly index: number;
  readonly tid: number;
  readonly pid: number;
  readonly name: string;
  readonly begin: number;
  readonly end: number;
  /** Slots of events, and how many of them have been read so far. */
  readonly slots: number;
  readonly read: number;
  readonly lost: number;
  /** Tiles of this level and coarser ones come from the index, finer ones from the events. */
  readonly baseLevel: number;
  /** Depth of the deepest stack so far, up to what is drawn. */
  readonly depths: number;
  /** Calls too deep to be drawn. */
  readonly hidden: number;
  readonly orphans: number;
  /** Where events are missing: from, to, how many (-1: nobody knows). */
  readonly missing: readonly (readonly [from: number, to: number, lost: number])[];
  /** Events in equal parts of the whole trace. */
  readonly density: readonly number[];
};

export type TraceInfo = {
  readonly path: string;
  readonly command: readonly string[];
  readonly pid: number;
  readonly host: string;
  /** When recording ended and why, if it did. */
  readonly ended: string | undefined;
  /** Wall clock at the origin, as ISO 8601 has it. */
  readonly began: string;
  readonly nsPerTick: number;
  readonly end: number;
  readonly slots: number;
  readonly threads: readonly TraceThreadInfo[];
  /** Milliseconds from the opening until all events had been read; undefined before. */
  readonly indexedMs: number | undefined;
  readonly formats: readonly string[];
};

/** Functions in columns; sites without a function are left out. */
export type FunctionColumns = {
  readonly sites: readonly number[];
  readonly names: readonly string[];
  /** `modules[module[i]]`. */
  readonly modules: readonly string[];
  readonly module: readonly number[];
  /** `files[file[i]]`; -1 where it isn't known. */
  readonly files: readonly string[];
  readonly file: readonly number[];
  readonly lines: readonly number[];
  /** Entries in what has been read so far. */
  readonly calls: readonly number[];
};

export type CallInfo = {
  readonly thread: number;
  readonly site: number;
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  /** `returned`, `unwound`, `left`, `lost` or `open`. */
  readonly how: string;
};

export type CallAnswer = {
  readonly call: CallInfo | undefined;
  /** Calls that it lies in, the outermost first. */
  readonly around: readonly CallInfo[];
};

/** A stretch of time in some threads. */
export type StretchRequest = {
  readonly from: number;
  readonly to: number;
  /** Indices; all threads where it is empty. */
  readonly threads: readonly number[];
};

/** One function's row; times in ticks. */
export type SelectionRow = {
  readonly site: number;
  readonly calls: number;
  readonly total: number;
  readonly self: number;
  readonly complete: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p99: number;
};

export type FlameNode = {
  readonly id: number;
  readonly parent: number;
  readonly site: number;
  readonly calls: number;
  readonly total: number;
  readonly self: number;
};

export type SelectionAnswer = {
  readonly from: number;
  readonly to: number;
  readonly threads: readonly number[];
  /** Ticks in which calls were open, of all threads together. */
  readonly busy: number;
  /** Events lost there; -1: nobody knows how many. */
  readonly lost: number;
  readonly rows: readonly SelectionRow[];
  /** The heaviest nodes. */
  readonly nodes: readonly FlameNode[];
  /** Nodes that are not among them. */
  readonly hiddenNodes: number;
};

export type RelativeInfo = {
  /** -1: nobody that is known. */
  readonly site: number;
  readonly calls: number;
  readonly total: number;
};

export type RelativesAnswer = {
  readonly callers: readonly RelativeInfo[];
  readonly callees: readonly RelativeInfo[];
};

export type SourceAnswer = {
  readonly file: string;
  readonly line: number;
  /** Number of the first line below. */
  readonly first: number;
  readonly lines: readonly string[];
};

/** What comes by server-sent events, by the event's name. */
export type ServerEvents = {
  /** From now on, nothing is missed. */
  readonly hello: Record<string, never>;
  /** How far a thread has been read. */
  readonly index: { readonly thread: number; readonly read: number; readonly depths: number };
  /** All threads have been read. */
  readonly indexed: { readonly ms: number };
  /** A check is done. */
  readonly checked: CheckOutcome;
  /** How the process is. */
  readonly live: LiveSample;
  /** Another trace is open now, the one that was recorded here. */
  readonly opened: { readonly trace: string };
  /** How many checks are still to be done. */
  readonly checking: { readonly left: number; readonly problem: string | undefined };
};

/** One way of patching, with the checks that say what it is worth. */
export type ProtocolInfo = {
  readonly id: string;
  readonly title: string;
  /** Lists of steps as text, a line each: see `src/patch/parse-steps.ts`. */
  readonly steps: StepTexts;
  readonly checks: readonly CheckInfo[];
};

export type StepTexts = {
  readonly enable: string;
  readonly disable: string;
  /** Empty where `enable` serves. */
  readonly modify: string;
  readonly retire: string;
};

export type CheckInfo = {
  readonly id: string;
  readonly design: string;
  readonly designSummary: string;
  readonly machine: string;
  readonly machineSummary: string;
  readonly adversities: readonly string[];
  readonly phase: number;
  readonly expected: string;
  readonly reason: string;
};

export type FamilyInfo = {
  readonly id: string;
  readonly title: string;
  readonly source: string;
  readonly protocols: readonly ProtocolInfo[];
};

/** What came out of a check. */
export type CheckOutcome = {
  readonly id: string;
  readonly verdict: string;
  readonly asExpected: boolean;
  readonly states: number;
  readonly depth: number;
  readonly milliseconds: number;
  readonly exhaustive: boolean;
  /** What should have happened and never did: a verdict `vacuous` is about nothing. */
  readonly missing: readonly string[];
};

/** A protocol that was edited, on the site and machine of a built-in check. */
export type OwnProtocol = StepTexts & { readonly basis: string };

export type OwnAnswer = {
  readonly outcome: CheckOutcome;
  /** A counterexample, where there is one. */
  readonly trace: ProtocolTrace | undefined;
};
