/**
 * What is traced in a process: the ops of all users in one register, and sites that follow them.
 * Where events go is nothing that it knows.
 */
import { PatchbayError } from "../base/error.ts";
import type { Result } from "../base/result.ts";
import type { Dispatch, DispatchForm } from "../ftrace/dispatch.ts";
import { type Ops, opsWants } from "../ftrace/ops.ts";
import {
  type Conflict,
  describeConflict,
  type EnabledSite,
  Registry,
  type Update,
  updateAction,
} from "../ftrace/registry.ts";
import type { ChangeResult } from "../target/injection.ts";
import {
  type Catalogue,
  type CataloguedFunction,
  type FilterHashes,
  gateSites,
  resolveFilter,
  type SiteFilter,
  toSiteTable,
  withoutGates,
  withoutMoved,
} from "./catalogue.ts";
import { worksOf } from "./ops-work.ts";
import type { AnnouncedFunction, CallCount } from "./seat.ts";
import { dispatchesOf, toSiteForms } from "./site-dispatch.ts";
import type { TargetHandlers } from "./target-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** A function that is traced at present. */
export type EnabledFunction = EnabledSite & {
  readonly name: string;
  /** By what code its ops are reached, and why not by the one that was asked for. */
  readonly dispatch: Dispatch;
};

/** How many functions reach their ops in each way; why, of those that have not what was asked. */
export type DispatchCounts = {
  readonly forms: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, number>>;
};

const noDispatch: Dispatch = { form: "idle" };

type Parts = {
  readonly pid: number;
  readonly target: WorkerClient<TargetHandlers>;
  readonly catalogue: Catalogue;
  /** The target worker's number for what is in the process. */
  readonly presence: number;
  /** How functions are to reach their ops, where that is possible; the best unless it is said. */
  readonly dispatch: DispatchForm | undefined;
};

export class Tracing {
  readonly #parts: Parts;
  readonly #registry: Registry;
  readonly #refused = new Set<number>();
  readonly #outOfReach = new Set<number>();
  /** The change that is under way: one after the other, in the register and in the process. */
  #last: Promise<void> = Promise.resolve();
  #dispatch: DispatchForm | undefined;
  /** By site, why it can't call: a column, since there may be a hundred thousand functions. */
  readonly #noLiteral: (string | undefined)[] = [];
  /** By site; of those that were changed once. */
  readonly #dispatches: Dispatch[] = [];
  #changes: ChangeResult = {
    refused: [],
    outOfReach: [],
    protocols: { stop: 0 },
    pauseMs: 0,
  };

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#registry = new Registry(parts.catalogue.functions.length);
    this.#dispatch = parts.dispatch;
  }

  /** Takes ops away and brings others. */
  exchange(doing: string, gone: readonly Ops[], come: readonly Ops[]): Promise<void> {
    return this.#change(doing, () => this.#registry.exchange(gone, come));
  }

  /** Puts an ops in the place of another. */
  modify(doing: string, before: Ops, after: Ops): Promise<void> {
    return this.#change(doing, () => this.#registry.modify(before, after));
  }

  /** Lets all functions reach their ops in another way, where that is possible. */
  setDispatch(form: DispatchForm | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#dispatch;
      this.#dispatch = form;
      try {
        await this.#apply(this.#registry.refresh());
      } catch (error) {
        this.#dispatch = before;
        throw error;
      }
    });
  }

  /**
   * Lets functions of a library that has come be traced by whoever wants them.
   * @param isNew whether they come for the first time: their ids are the next ones.
   */
  arrive(functions: readonly CataloguedFunction[], isNew: boolean): Promise<void> {
    return this.#inTurn(async () => {
      const ids = Uint32Array.from(functions, ({ id }) => id);
      await this.#parts.target.call("addSites", ids, toSiteTable(functions));
      const registry = this.#registry;
      await this.#apply(isNew ? registry.addSites(ids.length) : registry.enableSites(ids));
    });
  }

  /** Leaves functions alone whose library has gone. Comes between changes: see `pause`. */
  async depart(sites: readonly number[]): Promise<void> {
    this.#registry.disableSites(sites);
    await this.#parts.target.call("forgetSites", Uint32Array.from(sites));
  }

  /** Lets no change begin until what it gives is called; it waits for the one under way. */
  async pause(): Promise<() => void> {
    let resume = (): void => undefined;
    const paused = new Promise<void>((resolve) => {
      resume = resolve;
    });
    const before = this.#last;
    this.#last = before.then(() => paused);
    await before;
    return resume;
  }

  /** Functions that are enabled, by how they reach their ops. */
  get dispatches(): DispatchCounts {
    const forms: Record<string, number> = {};
    const reasons: Record<string, number> = {};
    for (let site = 0; site < this.#registry.siteCount; site++) {
      if (!this.#registry.isEnabled(site)) continue;
      if (this.#parts.catalogue.functions[site]?.site.gate !== undefined) continue;
      const { form, why } = this.#dispatches[site] ?? noDispatch;
      forms[form] = (forms[form] ?? 0) + 1;
      if (why !== undefined) reasons[why] = (reasons[why] ?? 0) + 1;
    }
    return { forms, reasons };
  }

  /** What is enabled now, as ftrace's enabled_functions lists it. */
  enabledFunctions(): readonly EnabledFunction[] {
    return [...this.#registry.enabledSites()].map((one) => ({
      ...one,
      name: this.#nameOf(one.site),
      dispatch: this.#dispatches[one.site] ?? noDispatch,
    }));
  }

  /** How many functions are enabled that one of `ops` wants. */
  countEnabled(ops: readonly Ops[]): number {
    return this.#registry.countEnabled(ops);
  }

  /** Calls so far of functions that `count` ops of an instance want: most first. */
  async counts(instance: number): Promise<readonly CallCount[]> {
    const { target, presence } = this.#parts;
    const counts = await target.call("counters", presence, instance);
    return this.#parts.catalogue.functions
      .map(({ id }) => ({ site: id, name: this.#nameOf(id), calls: counts[id] ?? 0 }))
      .filter(({ calls }) => calls > 0)
      .sort((a, b) => b.calls - a.calls);
  }

  /** All changes so far. */
  get changes(): ChangeResult {
    return this.#changes;
  }

  /** Functions that were left alone because their bytes were not what they should be. */
  get refused(): readonly string[] {
    return [...this.#refused].map((site) => this.#nameOf(site));
  }

  /** Functions that were left alone because no memory is free that they reach. */
  get outOfReach(): readonly string[] {
    return [...this.#outOfReach].map((site) => this.#nameOf(site));
  }

  /** The hashes for a filter, of one who wants more sites than compilers left, or does not. */
  resolve(filter: Partial<SiteFilter>, more: boolean, mayBeEmpty = false): FilterHashes {
    const { pid, catalogue } = this.#parts;
    const { include = [], exclude = [] } = filter;
    const doing = `trace functions of process ${pid}`;
    const offered = withoutGates(catalogue);
    const visible = more ? offered : withoutMoved(offered);
    if (visible.functions.length === offered.functions.length) {
      const hashes = resolveFilter(doing, visible, { include, exclude }, mayBeEmpty);
      for (const site of gateSites(catalogue)) hashes.notrace.sites.add(site);
      return hashes;
    }
    // Without a filter an ops would have them all.
    const named = { include: include.length > 0 ? include : ["*"], exclude };
    return resolveFilter(doing, visible, named, mayBeEmpty);
  }

  /** The sites that `ops` wants. */
  sitesOf(ops: Ops): readonly number[] {
    return this.#parts.catalogue.functions.map(({ id }) => id).filter((id) => opsWants(ops, id));
  }

  /** Functions as a trace names them. */
  describe(sites: readonly number[], exits: boolean): readonly AnnouncedFunction[] {
    return sites.flatMap((site) => {
      const one = this.#parts.catalogue.functions[site];
      return one === undefined ? [] : describeFunction(one, exits);
    });
  }

  /** The column, with the functions that have come since. */
  #noLiterals(): readonly (string | undefined)[] {
    const { functions } = this.#parts.catalogue;
    for (const { noLiteral } of functions.slice(this.#noLiteral.length)) {
      this.#noLiteral.push(noLiteral);
    }
    return this.#noLiteral;
  }

  #nameOf(site: number): string {
    const found = this.#parts.catalogue.functions[site];
    return found?.demangled ?? found?.name ?? `site ${site}`;
  }

  /** Decides on a change of the register and carries it out; what fails has changed nothing. */
  #change(doing: string, decide: () => Result<Update, Conflict>): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#registry.save();
      const result = decide();
      if (!result.ok) {
        const why = describeConflict(result.error, (site) => this.#nameOf(site));
        throw new PatchbayError({ code: "unsupported", doing, why });
      }
      try {
        await this.#apply(result.value);
      } catch (error) {
        this.#registry.restore(before);
        this.#registry.disableSites([...this.#refused, ...this.#outOfReach]);
        throw error;
      }
    });
  }

  /** Does `work` after what came before. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Carries an update out in the process. */
  async #apply(update: Update): Promise<void> {
    const { sites, actions } = update;
    if (sites.length === 0) return;
    const { catalogue, target } = this.#parts;
    const dispatch = this.#dispatch;
    const dispatches = dispatchesOf(update, this.#noLiterals(), dispatch);
    // Forced to be idle, functions are left alone, whoever wants them.
    const served = dispatch === "idle" ? { ...update, sets: update.sets.map(() => []) } : update;
    const { works, work } = worksOf(served, catalogue.functions);
    const { ops, siteCount } = this.#registry;
    const forms = toSiteForms(dispatches, ops, siteCount, dispatch);
    const result = await target.call("change", { sites, works, work, ...forms });
    const { kinds, kind } = dispatches;
    for (let index = 0; index < sites.length; index++) {
      this.#dispatches[sites[index] ?? 0] = kinds[kind[index] ?? 0] ?? noDispatch;
    }
    const { refused, outOfReach } = result;
    for (const site of refused) this.#refused.add(site);
    for (const site of outOfReach) this.#outOfReach.add(site);
    this.#registry.disableSites([...refused, ...outOfReach]);
    this.#changes = addResults(this.#changes, result);
    if (refused.length + outOfReach.length < sites.length) return;
    // What takes ops away and finds other bytes has nothing left to take away.
    if (!actions.includes(updateAction.makeCall)) return;
    if (refused.length === 0) throw outOfEveryReach(sites.length);
    throw new PatchbayError({
      code: "bad-site",
      doing: `change ${sites.length} functions`,
      why: "the bytes in memory are not those of the file at any of them",
      hint: "another tool may have patched them; `patchbay sites PID` shows what stands there",
    });
  }
}

const outOfEveryReach = (count: number): PatchbayError =>
  new PatchbayError({
    code: "unsupported",
    doing: `change ${count} functions`,
    why: "no memory is free that a branch of theirs reaches",
  });

const describeFunction = (one: CataloguedFunction, exits: boolean): AnnouncedFunction => ({
  site: one.id,
  name: one.name,
  demangled: one.demangled,
  module: one.module.path,
  address: one.at,
  entriesOnly: !exits || one.site.entriesOnly !== undefined,
  linkAddress: one.site.functionAddr,
});

/** Changes so far and one more. */
function addResults(a: ChangeResult, b: ChangeResult): ChangeResult {
  const agentless = b.agentless ?? a.agentless;
  const protocols = { ...a.protocols };
  for (const [name, count] of Object.entries(b.protocols)) {
    protocols[name] = (protocols[name] ?? 0) + count;
  }
  return {
    refused: [],
    outOfReach: [],
    protocols,
    pauseMs: Math.max(a.pauseMs, b.pauseMs),
    ...(agentless === undefined ? {} : { agentless }),
  };
}
