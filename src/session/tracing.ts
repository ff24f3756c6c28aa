/**
 * What is traced in a process: ops in the register, and sites that follow them. Where events go is
 * nothing that it knows.
 */
import type { SiteId } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { type Action, makeWork, WorkList } from "../codegen/work.ts";
import { type Handler, makeOps, type Ops } from "../ftrace/ops.ts";
import { describeConflict, type EnabledSite, Registry, type Update } from "../ftrace/registry.ts";
import type { ChangeResult, RemoveResult, SiteChanges } from "../target/injection.ts";
import {
  type Catalogue,
  type CataloguedFunction,
  type FilterHashes,
  resolveFilter,
  type SiteFilter,
} from "./catalogue.ts";
import type { TargetHandlers } from "./target-worker.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** A function and how often it was called. */
export type CallCount = {
  readonly site: SiteId;
  readonly name: string;
  readonly calls: number;
};

/** A function that is traced at present. */
export type EnabledFunction = EnabledSite & { readonly name: string };

type Parts = {
  readonly pid: number;
  readonly target: WorkerClient<TargetHandlers>;
  readonly catalogue: Catalogue;
  /** Is told of functions before they are switched on for the first time. */
  readonly announce?: (functions: readonly CataloguedFunction[]) => Promise<void>;
};

export class Tracing {
  readonly #parts: Parts;
  readonly #registry: Registry;
  readonly #announced = new Set<number>();
  readonly #refused = new Set<number>();
  #changes: ChangeResult = {
    refused: [],
    protocols: { stop: 0 },
    pauseMs: 0,
  };

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#registry = new Registry(parts.catalogue.functions.length);
  }

  /**
   * Registers an ops: `handler` happens at the functions that `filter` names, beside what other
   * ops want there.
   *
   * Where an ops comes to a function that others want already, or goes, calls in the moment of the
   * change may be seen by none of them: no five bytes can be changed at once, and while they are
   * covered the function runs as if nobody wanted it. A window that one store changes has no such
   * moment. So counts are exact of functions that are wanted alike all the time.
   */
  async register(name: string, handler: Handler, filter: Partial<SiteFilter> = {}): Promise<Ops> {
    const doing = `trace functions of process ${this.#parts.pid}`;
    const ops = makeOps(name, handler, this.#hashes(doing, filter));
    const result = this.#registry.register(ops);
    if (!result.ok) {
      const why = describeConflict(result.error, (site) => this.#nameOf(site));
      throw new PatchbayError({ code: "unsupported", doing: `register ${name}`, why });
    }
    await this.#apply(result.value);
    return ops;
  }

  /** Takes an ops away. */
  async unregister(ops: Ops): Promise<void> {
    await this.#apply(this.#registry.unregister(ops));
  }

  /** Gives an ops another filter; the ops that is registered from now on. */
  async setFilter(ops: Ops, filter: Partial<SiteFilter>): Promise<Ops> {
    const doing = `change the filter of ${ops.name}`;
    const next = makeOps(ops.name, ops.handler, this.#hashes(doing, filter));
    const result = this.#registry.modify(ops, next);
    if (!result.ok) {
      const why = describeConflict(result.error, (site) => this.#nameOf(site));
      throw new PatchbayError({ code: "unsupported", doing, why });
    }
    await this.#apply(result.value);
    return next;
  }

  /** Switches all functions off, or those back on that some ops wants (ftrace's tracing_on). */
  async setEnabled(on: boolean): Promise<void> {
    await this.#apply(this.#registry.setEnabled(on));
  }

  /** What is enabled now, as ftrace's enabled_functions lists it. */
  enabledFunctions(): readonly EnabledFunction[] {
    return [...this.#registry.enabledSites()].map((one) => ({
      ...one,
      name: this.#nameOf(one.site),
    }));
  }

  /** Calls so far of functions that `count` ops want: function and count, most first. */
  async counts(): Promise<readonly CallCount[]> {
    const counts = await this.#parts.target.call("counters");
    return this.#parts.catalogue.functions
      .map(({ id }) => ({ site: id, name: this.#nameOf(id), calls: counts[id] ?? 0 }))
      .filter(({ calls }) => calls > 0)
      .sort((a, b) => b.calls - a.calls);
  }

  /** Functions that are switched on. */
  get enabledCount(): number {
    return [...this.#registry.enabledSites()].length;
  }

  /** All changes so far. */
  get changes(): ChangeResult {
    return this.#changes;
  }

  /** Functions that were left alone because their bytes were not what they should be. */
  get refused(): readonly string[] {
    return [...this.#refused].map((site) => this.#nameOf(site));
  }

  /** Takes everything out of the process; undefined when that has ended. */
  async remove(): Promise<RemoveResult | undefined> {
    try {
      return await this.#parts.target.call("remove");
    } catch (error) {
      const ended =
        error instanceof PatchbayError &&
        (error.code === "no-such-process" || error.code === "target-exited");
      if (ended) return undefined;
      throw error;
    }
  }

  #hashes(doing: string, { include = [], exclude = [] }: Partial<SiteFilter>): FilterHashes {
    return resolveFilter(doing, this.#parts.catalogue, { include, exclude });
  }

  #nameOf(site: number): string {
    const found = this.#parts.catalogue.functions[site];
    return found?.demangled ?? found?.name ?? `site ${site}`;
  }

  /** Carries an update out in the process. */
  async #apply(update: Update): Promise<void> {
    if (update.length === 0) return;
    const sites = Uint32Array.from(update, ({ site }) => site);
    const { works, work } = worksOf(update);
    await this.#announce(sites);
    const result = await this.#parts.target.call("change", { sites, works, work });
    for (const site of result.refused) this.#refused.add(site);
    this.#registry.disableSites(result.refused);
    this.#changes = addResults(this.#changes, result);
    if (result.refused.length < update.length) return;
    throw new PatchbayError({
      code: "bad-site",
      doing: `change ${update.length} functions`,
      why: "the bytes in memory are not those of the file at any of them",
      hint: "another tool may have patched them; `patchbay sites PID` shows what stands there",
    });
  }

  /** Tells of functions before anything can be heard from them. */
  async #announce(sites: Uint32Array): Promise<void> {
    const { announce, catalogue } = this.#parts;
    const fresh = [...sites].filter((site) => !this.#announced.has(site));
    if (announce === undefined || fresh.length === 0) return;
    for (const site of fresh) this.#announced.add(site);
    await announce(fresh.flatMap((site) => catalogue.functions[site] ?? []));
  }
}

/** What has to be done at the sites of an update: few different works, and each site's index. */
function worksOf(update: Update): Pick<SiteChanges, "works" | "work"> {
  const list = new WorkList();
  // Sites that the same ops want come with the same few lists of ops: work each out once.
  const numbers = new Map<string, number>();
  const opsNumbers = new Map<Ops, number>();
  const numberOf = (ops: Ops): number => {
    const number = opsNumbers.get(ops) ?? opsNumbers.size;
    opsNumbers.set(ops, number);
    return number;
  };
  const work = Uint16Array.from(update, ({ ops }) => {
    const key = ops.map(numberOf).join();
    const number = numbers.get(key) ?? list.intern(makeWork(ops.map(actionOf)));
    numbers.set(key, number);
    return number;
  });
  return { works: list.all, work };
}

/** What generated code does for an ops. */
function actionOf({ handler, name }: Ops): Action {
  switch (handler.kind) {
    case "record":
      return { kind: "record", instance: 0, exits: handler.exits };
    case "count":
      return { kind: "count", instance: 0 };
    case "statistics":
    case "direct":
    case "replace":
      throw new PatchbayError({
        code: "unsupported",
        doing: `let ${name} work`,
        why: `handlers of kind ${handler.kind} can't be carried out in a process yet`,
      });
    default:
      return handler satisfies never;
  }
}

/** Changes so far and one more. */
function addResults(a: ChangeResult, b: ChangeResult): ChangeResult {
  const agentless = b.agentless ?? a.agentless;
  const protocols = { ...a.protocols };
  for (const [name, count] of Object.entries(b.protocols)) {
    protocols[name] = (protocols[name] ?? 0) + count;
  }
  return {
    refused: [],
    protocols,
    pauseMs: Math.max(a.pauseMs, b.pauseMs),
    ...(agentless === undefined ? {} : { agentless }),
  };
}
