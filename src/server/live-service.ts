/**
 * A running process as the page sees it: what is counted, what is recorded, how it goes. Everything
 * that changes the process happens one after the other; closing leaves it as it was.
 */
import { PatchbayError } from "../base/error.ts";
import { allowedProtocols, type Promises } from "../model/allowed.ts";
import { commandLine } from "../os/proc.ts";
import type { CataloguedFunction } from "../session/catalogue.ts";
import { machineRules } from "../session/machine-rules.ts";
import type { FunctionStatistics, Observation } from "../session/observation.ts";
import { attach } from "../session/open-session.ts";
import type { Recording } from "../session/recording.ts";
import type { Session } from "../session/session.ts";
import type {
  LiveFilter,
  LiveFunctions,
  LiveHistogram,
  LiveRow,
  LiveSample,
  LiveState,
} from "./live-api.ts";
import { PerSecond } from "./live-rates.ts";

/** What a call costs, in nanoseconds, about: measured on one machine (`bench/handlers.ts`). */
const costNs = { count: 1.7, times: 26, event: 9 };
/** Rows in a sample: more are no table that a person reads. */
const rowsMax = 500;

const hex = (value: bigint): string => `0x${value.toString(16)}`;

export class LiveService {
  readonly #session: Session;
  readonly #functions: readonly CataloguedFunction[];
  readonly #directory: string;
  readonly #began = performance.now();
  readonly #calls = new PerSecond();
  readonly #events = new PerSecond();
  #observation: Observation | undefined;
  #recording: Recording | undefined;
  #watch: LiveFilter | undefined;
  #record: LiveFilter | undefined;
  #times = true;
  #trace: string | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** Attaches; nothing in the process changes. @param directory where recordings go. */
  static async open(pid: number, directory: string): Promise<LiveService> {
    const session = await attach(pid);
    try {
      return new LiveService(session, directory);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  private constructor(session: Session, directory: string) {
    this.#session = session;
    this.#functions = session.select();
    this.#directory = directory;
  }

  get pid(): number {
    return this.#session.pid;
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#session.close();
  }

  functions(): LiveFunctions {
    const modules = new Map<string, number>();
    const protocols = new Map<string, number>();
    const indexOf = (known: Map<string, number>, text: string): number => {
      const at = known.get(text) ?? known.size;
      known.set(text, at);
      return at;
    };
    const all = this.#functions;
    const promises = machineRules();
    return {
      pid: this.#session.pid,
      command: commandLine(this.#session.pid),
      symbols: all.map(({ name }) => name),
      names: all.map(({ name, demangled }) => demangled ?? name),
      addresses: all.map(({ at }) => hex(at)),
      module: all.map(({ module }) => indexOf(modules, module.path)),
      modules: [...modules.keys()],
      protocol: all.map((one) => indexOf(protocols, protocolOf(one, promises))),
      protocols: [...protocols.keys()],
      entriesOnly: all.map(({ site }) => site.entriesOnly ?? ""),
    };
  }

  /** Counts calls of what `filter` names from now on, or of nothing. */
  watch(filter: LiveFilter | undefined, times: boolean): Promise<LiveState> {
    return this.#inTurn(async () => {
      const current = this.#live(this.#observation);
      if (filter === undefined || (current !== undefined && times !== this.#times)) {
        this.#observation = undefined;
        this.#watch = undefined;
        await current?.stop();
      }
      if (filter !== undefined) {
        // Named first: what names nothing changes nothing.
        this.#session.select(filter);
        const running = this.#live(this.#observation);
        if (running === undefined) {
          this.#observation = await this.#session.observe({ filter, times });
        } else await running.setFilter(filter);
        this.#watch = filter;
        this.#times = times;
      }
    });
  }

  /** Starts a recording of what `filter` names, or ends the one that runs. */
  record(filter: LiveFilter | undefined): Promise<LiveState> {
    return this.#inTurn(async () => {
      const current = this.#live(this.#recording);
      if (filter === undefined) {
        this.#recording = undefined;
        this.#record = undefined;
        if (current === undefined) return;
        await current.stop();
        this.#trace = current.directory;
        return;
      }
      if (current !== undefined) {
        const why = "it is being recorded already";
        throw new PatchbayError({ code: "unsupported", doing: "record the process", why });
      }
      const directory = this.#directory;
      this.#recording = await this.#session.record({ directory, filter });
      this.#record = filter;
      this.#trace = undefined;
    });
  }

  async state(): Promise<LiveState> {
    const watching = this.#live(this.#observation);
    const recording = this.#live(this.#recording);
    const enabled = (await (watching ?? recording)?.enabledFunctions()) ?? [];
    const ids = (filter: LiveFilter | undefined): readonly number[] =>
      filter === undefined ? [] : this.#session.select(filter).map(({ id }) => id);
    return {
      watched: watching === undefined ? [] : ids(this.#watch),
      times: this.#times,
      watch: watching === undefined ? undefined : this.#watch,
      recorded: recording === undefined ? [] : ids(this.#record),
      record: recording === undefined ? undefined : this.#record,
      enabled: enabled.map(({ site, dispatch, ops }) => ({
        site,
        form: dispatch.form,
        why: dispatch.why,
        ops,
      })),
      trace: this.#trace,
    };
  }

  async histogram(site: number): Promise<LiveHistogram> {
    return { site, buckets: (await this.#live(this.#observation)?.histogram(site)) ?? [] };
  }

  /** How things stand; to be asked for regularly: rates are since the last time. */
  async sample(): Promise<LiveSample> {
    const now = performance.now();
    const watching = this.#live(this.#observation);
    const recording = this.#live(this.#recording);
    const [statistics, progress, status, changes] = await Promise.all([
      watching?.statistics() ?? [],
      recording?.progress(),
      this.#session.status(),
      watching?.changes(),
    ]);
    const rates = this.#calls.rates(now, new Map(statistics.map((s) => [s.site, s.calls])));
    const rows = statistics.map((one) => liveRow(one, rates.get(one.site) ?? 0));
    const perSecond = rows.reduce((sum, row) => sum + row.perSecond, 0);
    const events = progress === undefined ? [] : ([["events", progress.events]] as const);
    const eventRate = this.#events.rates(now, new Map(events)).get("events") ?? 0;
    const callCost = watching?.times === true ? costNs.times : costNs.count;
    return {
      at: now - this.#began,
      process: status.kind,
      rows: rows.sort((a, b) => b.perSecond - a.perSecond || b.calls - a.calls).slice(0, rowsMax),
      perSecond,
      recording: progress && {
        events: progress.events,
        perSecond: eventRate,
        lost: progress.lost,
        bytes: progress.bytes,
        threads: progress.threads,
      },
      overhead: (perSecond * callCost + eventRate * costNs.event) / 1e9,
      changes: { ...changes?.protocols },
      pauseMs: changes?.pauseMs ?? 0,
    };
  }

  /** What has not ended by itself. */
  #live<T extends { readonly isEnding: boolean }>(one: T | undefined): T | undefined {
    return one?.isEnding === true ? undefined : one;
  }

  #inTurn(change: () => Promise<void>): Promise<LiveState> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(() => undefined);
    return turn.then(() => this.state());
  }
}

function liveRow(one: FunctionStatistics, perSecond: number): LiveRow {
  const { site, calls, selfNs, totalNs, meanNs, minNs, maxNs, p50Ns, p99Ns } = one;
  return { site, calls, perSecond, selfNs, totalNs, meanNs, minNs, maxNs, p50Ns, p99Ns };
}

/** The cheapest protocol that may change a site while its threads run. */
function protocolOf({ site, at, module }: CataloguedFunction, promises: Promises): string {
  if (module.program.elf.machine !== "x86-64") return module.program.elf.machine;
  if (site.displaced !== undefined) return "stop";
  const several = site.layout.compiledSizes.length > 1;
  const use = { several, use: "jump" } as const;
  const found = allowedProtocols(site.layout, at, promises, use);
  const id = found.find(({ needsHandler }) => !needsHandler)?.protocol.id ?? "stop";
  return id.slice(id.indexOf("/") + 1);
}
