/**
 * Patchbay's presence in one process, for all who trace it: what was brought in, the register of
 * ops, and the seats. It comes with the first user and goes with the last.
 */
import { ensure } from "../base/assert.ts";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { isForkName } from "../patch/fork-sites.ts";
import { type ArenaShape, pageBytes, threadBitsBytes } from "../ring/arena.ts";
import { eventBytes } from "../ring/layout.ts";
import { statisticsSlots } from "../ring/statistics.ts";
import { keysBytes, rowsPerTable } from "../ring/value-rows.ts";
import type { RemoveResult } from "../target/injection.ts";
import { nsPerTick } from "../trace/clock.ts";
import { callGate } from "./call-gate.ts";
import { type Catalogue, type CatalogueOf, toSiteTable } from "./catalogue.ts";
import { clockOf, SessionClock } from "./clock.ts";
import { hasEnded } from "./has-ended.ts";
import { JumpWatch } from "./jump-watch.ts";
import { LaterLibraries, laterFunctionsMax } from "./later-libraries.ts";
import { findLoader } from "./loader-facts.ts";
import { machineRules } from "./machine-rules.ts";
import { hasAll, type MoreSites } from "./more-sites.ts";
import { codeRange, NativeLibrary, pathInProcess } from "./native-library.ts";
import { type Module, ModuleWatch } from "./process-modules.ts";
import { openProgramFile } from "./program-file.ts";
import { type Announce, LocalSeat, type Seat, type SeatRequest } from "./seat.ts";
import { checkDesign } from "./site-dispatch.ts";
import { targetFacts } from "./target-facts.ts";
import type { Injected, TargetHandlers } from "./target-worker.ts";
import { type EnabledFunction, Tracing } from "./tracing.ts";
import type { WorkerClient } from "./worker-rpc.ts";

type Parts = {
  readonly pid: Pid;
  /** Kept in step with what is mapped. */
  readonly modules: Module[];
  readonly target: WorkerClient<TargetHandlers>;
  readonly catalogue: CatalogueOf;
};

/** What is there while somebody traces. */
type Presence = {
  readonly tracing: Tracing;
  readonly catalogue: Catalogue;
  readonly more: MoreSites;
  readonly injected: Injected;
  readonly libraries: LaterLibraries;
  readonly jumps: JumpWatch;
  /** The first id that is no function's, whatever libraries come. */
  readonly firstMark: number;
  /** The arena at whose gate threads wait before they exec, if they do. */
  readonly execFd: number | undefined;
};

/** Room for the steps that change some 250,000 sites; memory that is not used is not taken. */
const programBytes = 16 << 20;

/** Address space for statistics in the target, and threads that have some at the least. */
const statisticsBytesMax = 2 ** 34;
const statisticsThreadsMin = 128;

/** Rings whose slots hold each thread's statistics: a row for each function and value. */
function statisticsRings(rowCount: number): Pick<ArenaShape, "ringCount" | "slotCount"> {
  const slotCount = statisticsSlots(rowCount);
  const threads = Math.floor(statisticsBytesMax / (slotCount * eventBytes));
  return { slotCount, ringCount: Math.max(statisticsThreadsMin, Math.min(4096, threads)) };
}

export class Host {
  readonly pid: Pid;
  readonly #parts: Parts;
  readonly #seats = new Set<LocalSeat>();
  readonly #clock: SessionClock;
  #presence: Presence | undefined;
  #modules: ModuleWatch | undefined;
  /** Whether the catalogue may hold libraries that were there once. */
  #hadPresence = false;
  /** Users come and go one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    this.pid = parts.pid;
    this.#parts = parts;
    this.#clock = new SessionClock(clockOf(parts.modules[0]?.program.elf.machine ?? "x86-64"));
  }

  /** How many users there are. */
  get seats(): number {
    return this.#seats.size;
  }

  /** What is enabled in the process, for whomever. */
  enabledFunctions(): readonly EnabledFunction[] {
    return this.#presence?.tracing.enabledFunctions() ?? [];
  }

  /** Loads a shared library into the process, which somebody has to trace. */
  loadLibrary(path: string): Promise<NativeLibrary> {
    return this.#inTurn(async () => {
      const { pid, modules, target } = this.#parts;
      const doing = `load ${path} into process ${pid}`;
      if (this.#presence === undefined) {
        const why = "nothing is traced in it yet";
        throw new PatchbayError({ code: "bad-usage", doing, why, hint: "record or observe first" });
      }
      const seen = pathInProcess(doing, pid, path);
      const program = openProgramFile(path);
      const loader = findLoader(doing, pid, modules);
      const loaded = await target.call("loadLibrary", loader, seen, codeRange(program));
      return new NativeLibrary(program, loaded, () =>
        this.#inTurn(() => target.call("unloadLibrary", loaded.handle)),
      );
    });
  }

  /** Gives a user a seat; the first one brings in what tracing needs. */
  sit(request: SeatRequest, announce: Announce): Promise<Seat> {
    return this.#inTurn(async () => {
      const presence = (this.#presence ??= await this.#bringIn(request));
      if (!hasAll(presence.more, request.more)) {
        throw new PatchbayError({
          code: "unsupported",
          doing: `trace process ${this.pid} with --prologues or the like`,
          why: "it is traced already, without",
          hint: "wait for that to end, or do without",
        });
      }
      try {
        return await this.#seat(presence, request, announce);
      } catch (error) {
        if (this.#seats.size === 0) await this.#takeOut().catch(() => undefined);
        throw error;
      }
    });
  }

  async #bringIn({ more, vendorRules, dispatch, siteDesign }: SeatRequest): Promise<Presence> {
    const { pid, modules, target } = this.#parts;
    const watch = (this.#modules ??= new ModuleWatch(pid, modules));
    const catalogue = this.#catalogueOf(more, watch);
    const ticksPerNs = 1 / nsPerTick(await this.#clock.calibrate());
    const design = checkDesign(modules, siteDesign);
    const rules = vendorRules ?? machineRules();
    const options = { programBytes, ticksPerNs, rules, design, forks: more.forks === true };
    const sites = toSiteTable(catalogue.functions, laterFunctionsMax);
    const injected = await target.call("inject", pid, targetFacts(modules), sites, options);
    const { presence } = injected;
    const tracing = new Tracing({ pid, target, catalogue, presence, dispatch });
    const seats = (): Iterable<LocalSeat> => this.#seats;
    const jumps = new JumpWatch({ pid, modules, target, tracing, catalogue });
    const parts = { pid, modules, watch, target, tracing, catalogue, more, seats, jumps };
    const firstMark = catalogue.functions.length + laterFunctionsMax;
    const libraries = await LaterLibraries.of(parts);
    const execFd = more.execs === true ? await openExecGate(target, tracing, catalogue) : undefined;
    if (more.forks === true) await openForkGate(target, tracing, catalogue);
    return { tracing, catalogue, more, injected, libraries, jumps, firstMark, execFd };
  }

  /** What there is now: libraries may have come and gone while nobody traced. */
  #catalogueOf(more: MoreSites, watch: ModuleWatch): Catalogue {
    const { came, went } = watch.look();
    const isFresh = this.#hadPresence || came.length + went.length > 0;
    this.#hadPresence = true;
    return this.#parts.catalogue(more, isFresh);
  }

  async #seat(
    { tracing, catalogue, injected, jumps, firstMark, execFd }: Presence,
    request: SeatRequest,
    announce: Announce,
  ): Promise<Seat> {
    const { target } = this.#parts;
    const { presence, exits } = injected;
    if (request.dispatch !== undefined) await tracing.setDispatch(request.dispatch);
    if (request.jumps === true) await jumps.want();
    // Functions that later libraries have brought are among the first ones then, to be sure.
    const siteCount = catalogue.functions.length + laterFunctionsMax;
    const counterPages = pageBytes * Math.ceil((siteCount * 8) / pageBytes);
    const { threadFilter, valueTables = 0 } = request;
    const counterBytes =
      counterPages + valueTables * keysBytes + (threadFilter ? threadBitsBytes : 0);
    const rowCount = siteCount + valueTables * rowsPerTable;
    const rings = request.rings === "statistics" ? statisticsRings(rowCount) : request.rings;
    const shape = { ...rings, programBytes: 0, counterBytes };
    const { overwrite, frameWords } = request;
    const added = await target.call("addInstance", {
      shape,
      overwrite,
      frameWords,
      followForks: request.followForks === true,
      coarse: request.coarse === true,
      signals: request.signals === true,
    });
    const { instance, arenaFd, table, hasFrameWords } = added;
    let left: Promise<RemoveResult | undefined> | undefined;
    const seat = new LocalSeat({
      tracing,
      request,
      jumpsUnseen: () => (request.jumps === true ? jumps.why : undefined),
      rings: { arenaFd, shape, overwrite, table, exits, hasFrameWords, firstMark, execFd },
      instance,
      announce,
      leave: (isRunning) =>
        (left ??= this.#inTurn(() => this.#leave(seat, { presence, instance }, isRunning))),
      release: async () => target.call("releaseInstance", presence, instance),
    });
    this.#seats.add(seat);
    return seat;
  }

  /** Takes a user's ops away, and everything with the last user. */
  async #leave(
    seat: LocalSeat,
    { presence, instance }: { readonly presence: number; readonly instance: number },
    isRunning: boolean,
  ): Promise<RemoveResult | undefined> {
    this.#seats.delete(seat);
    if (!isRunning) {
      // There is nothing left that could be put back.
      if (this.#seats.size > 0) return undefined;
      await this.#presence?.libraries.end();
      this.#presence = undefined;
      return undefined;
    }
    if (this.#seats.size === 0) return this.#takeOut();
    const { target } = this.#parts;
    try {
      try {
        await seat.silence();
      } finally {
        // Whether or not his ops could be taken away: nothing comes into his rings any more.
        await target.call("silenceInstance", presence, instance);
      }
    } catch (error) {
      if (!hasEnded(error)) throw error;
      return undefined;
    }
    return { pauseMs: 0 };
  }

  /** Takes everything out of the process; undefined when that has ended. */
  async #takeOut(): Promise<RemoveResult | undefined> {
    const { libraries } = ensure(this.#presence, "something is there to take out");
    await libraries.end();
    this.#presence = undefined;
    try {
      return await this.#parts.target.call("remove");
    } catch (error) {
      if (hasEnded(error)) return undefined;
      throw error;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Lets the functions that exec call the gate; undefined where they are not known or none can. */
async function openExecGate(
  target: WorkerClient<TargetHandlers>,
  tracing: Tracing,
  { functions }: Catalogue,
): Promise<number | undefined> {
  const execs = functions.filter(({ site }) => site.gate === "exec");
  if (execs.length === 0) return undefined;
  const gate = await target.call("openExecGate");
  if (gate === undefined) return undefined;
  const handler = { kind: "direct", target: gate.address } as const;
  const execGate = { name: "execs", functions: execs, glob: "exec*", handler };
  await callGate(tracing, "wait for execs", execGate);
  return gate.arenaFd;
}

/** Lets the function that forks call the gate, if it is known and can. */
async function openForkGate(
  target: WorkerClient<TargetHandlers>,
  tracing: Tracing,
  { functions }: Catalogue,
): Promise<void> {
  // Where functions without sites are traced, it may be one of those.
  const forks = functions.filter(({ site: { gate, displaced, symbol } }) =>
    gate === undefined ? displaced !== undefined && isForkName(symbol) : gate === "fork",
  );
  if (forks.length === 0) return;
  const gate = await target.call("openForkGate");
  if (gate === undefined) return;
  const handler = { kind: "direct", target: gate } as const;
  await callGate(tracing, "note forks", { name: "forks", functions: forks, glob: "*ork", handler });
}
