/** What can be asked of a session, and the seats that it takes. */
import type { DispatchForm, SiteDesign } from "../ftrace/dispatch.ts";
import type { VendorRules } from "../patch/protocols/x86-64-live.ts";
import { pageBytes } from "../ring/arena.ts";
import { eventBytes } from "../ring/layout.ts";
import type { SiteFilter } from "./catalogue.ts";
import type { MoreSites } from "./more-sites.ts";
import type { CallChoice, CallOptions } from "./record-details.ts";
import type { SeatRequest } from "./seat.ts";

/** What is recorded, and how. */
export type RecordOptions = MoreSites &
  CallOptions & {
    /** The trace directory; made, or an older trace there moved aside. */
    readonly directory: string;
    readonly filter?: Partial<SiteFilter>;
    /** Record exits too, and so durations; on unless said otherwise. */
    readonly exits?: boolean;
    /** Bytes of each thread's ring, a power of two times 4096; 4 MiB unless said otherwise. */
    readonly ringBytes?: number;
    /** Threads that can record at the same time; 1024 unless said otherwise. */
    readonly threadsMax?: number;
    /** Forked children record, too, from their first call on, into the same trace. */
    readonly followForks?: boolean;
    /** Entries of signal handlers say so, and what signal it is. */
    readonly signals?: boolean;
    /**
     * It goes on, in the same trace, in the programs that the process becomes by exec; with forks
     * followed in those that its children become, too. A filter may name nothing in some of them.
     */
    readonly followExecs?: boolean;
    /** Functions that a longjmp leaves are recorded as left; on unless said otherwise. */
    readonly jumps?: boolean;
    /** Full rings overwrite their oldest events; what they hold at the end is the trace. */
    readonly flightRecorder?: boolean;
    /**
     * What events are stamped with: `exact`, unless said otherwise, is the time stamp counter;
     * `coarse` costs far less and goes in steps, `coarse:20us` in such ones: `coarse-clock.ts`.
     */
    readonly clock?: string;
    /** Whose manual the choice of protocols relies on; this machine's unless said otherwise. */
    readonly vendorRules?: VendorRules;
    /** How functions reach their ops, where that is possible; the best unless it is said. */
    readonly dispatch?: DispatchForm;
    /** How the calls of sites get to their trampoline, on RISC-V; straight unless it is said. */
    readonly siteDesign?: SiteDesign;
    /** Functions that switch the recording: `FUNCTION:traceoff`, `FUNCTION:traceon:3`. */
    readonly triggers?: readonly string[];
    /** It begins switched off, until a trigger switches it on. */
    readonly startsOff?: boolean;
  };

/** What is counted without a recording. */
export type ObserveOptions = MoreSites &
  CallChoice &
  Pick<RecordOptions, "filter" | "vendorRules" | "dispatch" | "siteDesign"> & {
    /** Count calls of a function by what an argument or their result is: `open@arg2/x`. */
    readonly by?: readonly string[];
    /** Measure what calls take; without it they are only counted, which is cheaper. */
    readonly times?: boolean;
  };

/** Of each thread's ring, in bytes. */
const ringBytesDefault: number = 4 << 20;
/** Words of frames for statistics: `codegen/x86-64/statistics.ts`. */
export const statisticsWords = { all: 2, byValue: 3 } as const;
const threadsDefault = 1024;
/** Nothing is recorded: the smallest ring that there can be. */
export const noRings: SeatRequest["rings"] = { ringCount: 1, slotCount: pageBytes / eventBytes };
/** The seat for what was asked. */
export const requestOf = (
  name: string,
  rings: SeatRequest["rings"],
  { vendorRules, dispatch, siteDesign, ...more }: ObserveOptions,
): SeatRequest => ({
  name,
  rings,
  overwrite: false,
  frameWords: 0,
  threadFilter: more.threads !== undefined,
  more: {
    prologues: more.prologues === true,
    libcalls: more.libcalls === true,
    probes: more.probes === true,
    execs: more.execs === true,
    forks: more.forks === true,
  },
  ...(vendorRules === undefined ? {} : { vendorRules }),
  ...(dispatch === undefined ? {} : { dispatch }),
  ...(siteDesign === undefined ? {} : { siteDesign }),
});

/**
 * The seat of a recording.
 * @param frameWords words of frames that it needs.
 * @param coarse whether its events have the coarse clock's time.
 */
export const recordRequestOf = (
  name: string,
  options: RecordOptions,
  frameWords: number,
  coarse: boolean,
): SeatRequest => ({
  ...requestOf(
    name,
    {
      ringCount: options.threadsMax ?? threadsDefault,
      slotCount: (options.ringBytes ?? ringBytesDefault) / eventBytes,
    },
    options,
  ),
  overwrite: options.flightRecorder ?? false,
  followForks: options.followForks ?? false,
  jumps: (options.exits ?? true) && (options.jumps ?? true),
  mayBeEmpty: options.followExecs ?? false,
  signals: options.signals ?? false,
  frameWords,
  coarse,
});
