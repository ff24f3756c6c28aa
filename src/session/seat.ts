/**
 * A seat: what one user of a traced process has there. Ops of his own in the register that all
 * share, rings and counters of his own, and an end of his own. Recordings and observations are
 * users; so are those of other Patchbay processes that have joined.
 */
import type { SiteId } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import type { DispatchForm, SiteDesign } from "../ftrace/dispatch.ts";
import { learn, type TraceableFunction } from "../ftrace/hash.ts";
import { type Handler, makeOps, type Ops, opsWants } from "../ftrace/ops.ts";
import type { VendorRules } from "../patch/protocols/x86-64-live.ts";
import type { ArenaShape } from "../ring/arena.ts";
import type { ChangeResult, RemoveResult } from "../target/injection.ts";
import type { TracedFunction } from "../trace/functions.ts";
import type { SiteFilter } from "./catalogue.ts";
import { type MoreSites, offersMore } from "./more-sites.ts";
import type { DispatchCounts, EnabledFunction, Tracing } from "./tracing.ts";

/** A function and how often it was called. */
export type CallCount = {
  readonly site: SiteId;
  readonly name: string;
  readonly calls: number;
};

/** What a user asks for. */
export type SeatRequest = {
  /** Who he is, as other users see it. */
  readonly name: string;
  /** Rings for events, or statistics of each function in their place. */
  readonly rings: Pick<ArenaShape, "ringCount" | "slotCount"> | "statistics";
  /** Tables of values that he wants statistics by. */
  readonly valueTables?: number;
  /** Words of frames beside their return address that what he asks for wants. */
  readonly frameWords: number;
  /** Whether he filters threads. */
  readonly threadFilter: boolean;
  /** Full rings overwrite their oldest events. */
  readonly overwrite: boolean;
  /** Forked children record, too. */
  readonly followForks?: boolean;
  /** Events are stamped by the coarse clock, which the user keeps fresh: `coarse-clock.ts`. */
  readonly coarse?: boolean;
  /** Entries say so where they are a signal's. */
  readonly signals?: boolean;
  /** Functions that a longjmp leaves are recorded as left. */
  readonly jumps?: boolean;
  /** It is no mistake if a filter of his names nothing. */
  readonly mayBeEmpty?: boolean;
  /** The sites that count for him beside those that compilers left. */
  readonly more: MoreSites;
  /** Whose manual the choice of protocols relies on; who comes first decides. */
  readonly vendorRules?: VendorRules;
  /** How functions are to reach their ops from now on, for all users. */
  readonly dispatch?: DispatchForm;
  /** How the calls of sites get to their trampoline; who comes first decides. */
  readonly siteDesign?: SiteDesign;
};

/** A user's rings: memory that he and the target share. */
export type Rings = {
  /** The arena, open until the rings are released. */
  readonly arenaFd: number;
  readonly shape: ArenaShape;
  readonly overwrite: boolean;
  /** Address of the thread table in the target. */
  readonly table: bigint;
  /** Whether returns can be hooked. */
  readonly exits: boolean;
  /** Ids that no function has, for marks in the trace: this one and those behind. */
  readonly firstMark: number;
  /** Whether there are the words of frames that were asked for. */
  readonly hasFrameWords: boolean;
  /** The arena at whose gate threads wait before they exec; of the owner's own users alone. */
  readonly execFd: number | undefined;
};

/** An ops that a user has registered. */
export type RegisteredOps = {
  readonly id: number;
  readonly name: string;
  readonly handler: Handler;
  readonly filter: Partial<SiteFilter>;
};

/** How things are for a user. */
export type SeatState = {
  /** Functions that are switched on for him. */
  readonly functions: number;
  /** Functions that were left alone because their bytes were not what they should be. */
  readonly refused: readonly string[];
  /** Functions that were left alone because no memory is free that they reach. */
  readonly outOfReach: readonly string[];
  /** Functions that are switched on for anybody, by how they reach their ops. */
  readonly dispatches: DispatchCounts;
  /** All changes in the process so far. */
  readonly changes: ChangeResult;
  /** Why it is not known what a longjmp leaves, if he wants to know and it may come. */
  readonly jumpsUnseen?: string;
};

/** A function as its user is told of it, with where its source line is to be looked up. */
export type AnnouncedFunction = TracedFunction & {
  /** Its address in the module's file. */
  readonly linkAddress: bigint;
};

/** Is told of functions before anything can be heard from them. */
export type Announce = (functions: readonly AnnouncedFunction[]) => Promise<void>;

export type Seat = {
  readonly rings: Rings;
  /**
   * Registers an ops: `handler` happens at the functions that `filter` names, beside what other
   * ops want there.
   *
   * Where an ops comes to a function that others want already, or goes, calls in the moment of the
   * change may be seen by none of them: no five bytes can be changed at once, and while they are
   * covered the function runs as if nobody wanted it. A window that one store changes has no such
   * moment. So counts are exact of functions that are wanted alike all the time.
   */
  register(name: string, handler: Handler, filter: Partial<SiteFilter>): Promise<RegisteredOps>;
  /** Takes an ops away. */
  unregister(ops: RegisteredOps): Promise<void>;
  /** Gives an ops another filter. */
  setFilter(ops: RegisteredOps, filter: Partial<SiteFilter>): Promise<RegisteredOps>;
  /** Gives an ops another handler. */
  setHandler(ops: RegisteredOps, handler: Handler): Promise<RegisteredOps>;
  /** Takes all his ops out of the register, or puts them back (ftrace's tracing_on). */
  setEnabled(on: boolean): Promise<void>;
  /** Lets all functions reach their ops in another way, where that is possible. */
  setDispatch(form: DispatchForm | undefined): Promise<void>;
  /** What is enabled now, for whomever, as ftrace's enabled_functions lists it. */
  enabledFunctions(): Promise<readonly EnabledFunction[]>;
  /** Calls so far of functions that his `count` ops want, most first. */
  counts(): Promise<readonly CallCount[]>;
  state(): Promise<SeatState>;
  /**
   * Takes all that is his out of the process. The rings can still be read, and nothing comes into
   * them any more; undefined when the process has ended.
   * @param isRunning whether there is anything left to take it out of.
   */
  leave(isRunning: boolean): Promise<RemoveResult | undefined>;
  /** Gives the rings back: their memory may serve others from now on. */
  release(): Promise<void>;
};

/** Takes a seat away whose user has not done so himself. */
export async function vacate(seat: Seat): Promise<void> {
  try {
    await seat.leave(true);
    await seat.release();
  } catch (error) {
    // The process is gone, or it refuses: there is nobody left to tell.
    if (!(error instanceof PatchbayError)) throw error;
  }
}

type Parts = {
  readonly tracing: Tracing;
  readonly request: SeatRequest;
  readonly rings: Rings;
  /** The number of his rings and counters in the target. */
  readonly instance: number;
  readonly announce: Announce;
  /** Why it is not known what a longjmp leaves, if that is so. */
  readonly jumpsUnseen: () => string | undefined;
  readonly leave: (isRunning: boolean) => Promise<RemoveResult | undefined>;
  readonly release: () => Promise<void>;
};

/**
 * The seat of a user in the process that owns the tracing, or of one that it serves. What he wants
 * of it happens one after the other, his leaving too: he may have died with requests on their way.
 */
export class LocalSeat implements Seat {
  readonly rings: Rings;
  readonly #parts: Parts;
  readonly #ops = new Map<number, Ops>();
  readonly #announced = new Set<number>();
  /** Ops that have been made and are not registered yet. */
  readonly #coming = new Set<Ops>();
  #isOn = true;
  #hasLeft = false;
  /** His ops may still be there, and write to his rings: these are not given back then. */
  #isStuck = false;
  #next = 1;
  /** Settles when what was asked for so far is done. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.rings = parts.rings;
  }

  /** Lets his filters name functions that have come; they are behind `first` others. */
  async learn(functions: readonly TraceableFunction[], first: number): Promise<void> {
    for (const ops of new Set([...this.ops, ...this.#coming])) {
      learn(ops.filter, functions, first);
      learn(ops.notrace, functions, first);
    }
    const wanted = (site: number): boolean => this.ops.some((ops) => opsWants(ops, site));
    await this.#announce(functions.map(({ site }) => site).filter(wanted));
  }

  /** Whether he asked for more sites than compilers left. */
  get wantsMore(): boolean {
    return offersMore(this.#parts.request.more);
  }

  get ops(): readonly Ops[] {
    return [...this.#ops.values()];
  }

  register(name: string, handler: Handler, filter: Partial<SiteFilter>): Promise<RegisteredOps> {
    const doing = `register ${name}`;
    return this.#inTurn(doing, async () => {
      const ops = await this.#make(name, handler, filter);
      if (this.#isOn) await this.#parts.tracing.exchange(doing, [], [ops]);
      const id = this.#next++;
      this.#ops.set(id, ops);
      this.#coming.delete(ops);
      return { id, name, handler, filter };
    });
  }

  unregister({ id, name }: RegisteredOps): Promise<void> {
    const doing = `unregister ${name}`;
    return this.#inTurn(doing, async () => {
      const ops = this.#get(id, name);
      if (this.#isOn) await this.#parts.tracing.exchange(doing, [ops], []);
      this.#ops.delete(id);
    });
  }

  setFilter(one: RegisteredOps, filter: Partial<SiteFilter>): Promise<RegisteredOps> {
    const doing = `change the filter of ${one.name}`;
    return this.#inTurn(doing, async () => {
      const before = this.#get(one.id, one.name);
      const after = await this.#make(one.name, before.handler, filter);
      if (this.#isOn) await this.#parts.tracing.modify(doing, before, after);
      this.#ops.set(one.id, after);
      this.#coming.delete(after);
      return { ...one, filter };
    });
  }

  setHandler(one: RegisteredOps, handler: Handler): Promise<RegisteredOps> {
    const doing = `change what ${one.name} does`;
    return this.#inTurn(doing, async () => {
      const before = this.#get(one.id, one.name);
      const after = { ...before, handler };
      if (this.#isOn) await this.#parts.tracing.modify(doing, before, after);
      this.#ops.set(one.id, after);
      return { ...one, handler };
    });
  }

  setEnabled(on: boolean): Promise<void> {
    const doing = `switch ${this.#parts.request.name} ${on ? "on" : "off"}`;
    return this.#inTurn(doing, () => this.#switch(doing, on));
  }

  setDispatch(form: DispatchForm | undefined): Promise<void> {
    return this.#parts.tracing.setDispatch(form);
  }

  async enabledFunctions(): Promise<readonly EnabledFunction[]> {
    return this.#parts.tracing.enabledFunctions();
  }

  counts(): Promise<readonly CallCount[]> {
    const { tracing, instance } = this.#parts;
    return tracing.counts(instance);
  }

  async state(): Promise<SeatState> {
    const { tracing } = this.#parts;
    const functions = this.#isOn ? tracing.countEnabled(this.ops) : 0;
    const { refused, outOfReach, changes, dispatches } = tracing;
    const jumpsUnseen = this.#parts.jumpsUnseen();
    const state = { functions, refused, outOfReach, changes, dispatches };
    return jumpsUnseen === undefined ? state : { ...state, jumpsUnseen };
  }

  leave(isRunning: boolean): Promise<RemoveResult | undefined> {
    const turn = this.#last.then(() => {
      this.#hasLeft = true;
      return this.#parts.leave(isRunning);
    });
    this.#last = turn.catch(() => {
      this.#isStuck = true;
    });
    return turn;
  }

  /** Takes his ops out of the register, as a part of his leaving. */
  silence(): Promise<void> {
    return this.#switch(`take ${this.#parts.request.name} away`, false);
  }

  async release(): Promise<void> {
    await this.#last;
    if (!this.#isStuck) await this.#parts.release();
  }

  #inTurn<T>(doing: string, work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      if (this.#hasLeft) throw new PatchbayError({ code: "bad-usage", doing, why: "it has ended" });
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #switch(doing: string, on: boolean): Promise<void> {
    if (on === this.#isOn) return;
    const [gone, come] = on ? [[], this.ops] : [this.ops, []];
    await this.#parts.tracing.exchange(doing, gone, come);
    this.#isOn = on;
  }

  async #make(name: string, handler: Handler, filter: Partial<SiteFilter>): Promise<Ops> {
    const { tracing, request, instance } = this.#parts;
    const hashes = tracing.resolve(filter, offersMore(request.more), request.mayBeEmpty);
    const isMain = request.name === name || request.name.startsWith(`${name}@`);
    const label = isMain ? request.name : `${request.name}/${name}`;
    const ops = makeOps(label, handler, hashes, instance);
    this.#coming.add(ops);
    await this.#announce(tracing.sitesOf(ops));
    return ops;
  }

  async #announce(sites: readonly number[]): Promise<void> {
    const fresh = sites.filter((site) => !this.#announced.has(site));
    if (fresh.length === 0) return;
    for (const site of fresh) this.#announced.add(site);
    await this.#parts.announce(this.#parts.tracing.describe(fresh, this.rings.exits));
  }

  #get(id: number, name: string): Ops {
    const found = this.#ops.get(id);
    if (found !== undefined) return found;
    throw new PatchbayError({
      code: "bad-usage",
      doing: `find the ops ${name}`,
      why: "it is not registered, or not any more",
    });
  }
}
