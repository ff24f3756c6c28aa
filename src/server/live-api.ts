/** What server and page say of a running process; types alone, as in `api.ts`. */

/** Functions that can be traced, in columns; a function's id is its place. */
export type LiveFunctions = {
  readonly pid: number;
  readonly command: readonly string[];
  /** What filters know the functions by. */
  readonly symbols: readonly string[];
  /** As people write them. */
  readonly names: readonly string[];
  readonly modules: readonly string[];
  /** Of each function: its module. */
  readonly module: readonly number[];
  readonly addresses: readonly string[];
  /** `protocols[protocol[i]]`: how its site is changed while everybody runs. */
  readonly protocols: readonly string[];
  readonly protocol: readonly number[];
  /** Why only its entries can be seen; empty where its return can be, too. */
  readonly entriesOnly: readonly string[];
};

/** Words as `patchbay stat` and `record` take them with -F and -N. */
export type LiveFilter = {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
};

/** What is switched on. */
export type LiveState = {
  /** Functions whose calls are counted, by their ids. */
  readonly watched: readonly number[];
  /** Whether their times are measured too. */
  readonly times: boolean;
  readonly watch: LiveFilter | undefined;
  readonly recorded: readonly number[];
  readonly record: LiveFilter | undefined;
  /** Sites that are not idle, for whomever: their id, how they reach their ops, and whose ops. */
  readonly enabled: readonly {
    readonly site: number;
    readonly form: string;
    readonly why: string | undefined;
    readonly ops: readonly string[];
  }[];
  /** Where the last recording is, once it has ended. */
  readonly trace: string | undefined;
};

/** Numbers of a function that is called; times in nanoseconds, absent without returned calls. */
export type LiveRow = {
  readonly site: number;
  readonly calls: number;
  readonly perSecond: number;
  readonly selfNs: number;
  readonly totalNs: number;
  readonly meanNs?: number | undefined;
  readonly minNs?: number | undefined;
  readonly maxNs?: number | undefined;
  readonly p50Ns?: number | undefined;
  readonly p99Ns?: number | undefined;
};

/** How things stand, twice a second. */
export type LiveSample = {
  /** Milliseconds since the server began to look. */
  readonly at: number;
  /** `running`, or how the process ended. */
  readonly process: string;
  readonly rows: readonly LiveRow[];
  readonly perSecond: number;
  readonly recording:
    | {
        readonly events: number;
        readonly perSecond: number;
        readonly lost: number;
        readonly bytes: number;
        readonly threads: number;
      }
    | undefined;
  /** Processor time that tracing takes, by an estimate: 1 is one processor. */
  readonly overhead: number;
  /** Changes of sites so far, by protocol; `stop`: while all threads were held. */
  readonly changes: Readonly<Record<string, number>>;
  /** Longest time that all threads were held, in ms. */
  readonly pauseMs: number;
};

export type LiveHistogram = {
  readonly site: number;
  readonly buckets: readonly {
    readonly fromNs: number;
    readonly toNs: number;
    readonly calls: number;
  }[];
};
