/**
 * Libraries that come and go while a process is traced: their functions are switched on for whoever
 * wants them, and left alone once their text is gone. A library that comes again has the ids that
 * it had.
 */
import type { Pid } from "../base/brand.ts";
import { addModule, type Catalogue, type CataloguedFunction, moveFunctions } from "./catalogue.ts";
import type { JumpWatch } from "./jump-watch.ts";
import { LaterUnwinders } from "./later-unwinders.ts";
import { findLoader, LibraryWatch, loaderState } from "./library-watch.ts";
import type { MoreSites } from "./more-sites.ts";
import type { Module, ModuleWatch } from "./process-modules.ts";
import type { LocalSeat } from "./seat.ts";
import type { TargetHandlers } from "./target-worker.ts";
import type { Tracing } from "./tracing.ts";
import type { WorkerClient } from "./worker-rpc.ts";

/** Functions that later libraries can have in all. */
export const laterFunctionsMax: number = 1 << 12;

type Parts = {
  readonly pid: Pid;
  readonly modules: readonly Module[];
  readonly watch: ModuleWatch;
  readonly target: WorkerClient<TargetHandlers>;
  readonly tracing: Tracing;
  readonly catalogue: Catalogue;
  readonly more: MoreSites;
  readonly seats: () => Iterable<LocalSeat>;
  readonly jumps: JumpWatch;
};

export class LaterLibraries {
  readonly #parts: Parts;
  /** How many functions there were at first. */
  readonly #first: number;
  /** Ids of the functions of each module that was ever there, by its file. */
  readonly #ids = new Map<string, number[]>();
  readonly #unwinders: LaterUnwinders;
  #watch: LibraryWatch | undefined;
  /** Lets changes go on that have to wait while libraries are being unmapped. */
  #resume: (() => void) | undefined;
  #patience: NodeJS.Timeout | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#unwinders = new LaterUnwinders(parts);
    this.#first = parts.catalogue.functions.length;
    for (const { id, module } of parts.catalogue.functions) {
      const file = fileOf(module);
      const ids = this.#ids.get(file);
      if (ids === undefined) this.#ids.set(file, [id]);
      else ids.push(id);
    }
  }

  /** Begins to watch; processes without a dynamic linker have no later libraries. */
  static async of(parts: Parts): Promise<LaterLibraries> {
    const libraries = new LaterLibraries(parts);
    const { pid, modules, target } = parts;
    const [program] = modules;
    const loader = program === undefined ? undefined : findLoader(pid, program);
    if (loader === undefined) return libraries;
    const arenaFd = await target.call("watchLoader", loader.brk);
    const onChange = (state: number): Promise<void> => libraries.#onChange(state);
    libraries.#watch = new LibraryWatch({ pid, loader, arenaFd, onChange });
    return libraries;
  }

  async end(): Promise<void> {
    await this.#watch?.end();
    this.#goOn();
    await this.#unwinders.end();
  }

  async #onChange(state: number): Promise<void> {
    if (state === loaderState.add) return;
    const { tracing } = this.#parts;
    if (state === loaderState.delete) {
      this.#resume ??= await tracing.pause();
      // A thread that does not wait for long tells of the end, or is gone.
      this.#patience ??= setTimeout(() => this.#goOn(), pauseMsMax);
      return;
    }
    this.#resume ??= await tracing.pause();
    const { came, went } = this.#parts.watch.look();
    try {
      for (const module of went) await tracing.depart(this.#ids.get(fileOf(module)) ?? []);
    } finally {
      this.#goOn();
    }
    for (const module of came) this.#unwinders.arrive(module);
    for (const module of came) await this.#arrive(module);
    if (came.length > 0) await this.#parts.jumps.look();
  }

  /** Changes go on. */
  #goOn(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#resume?.();
    this.#resume = undefined;
  }

  async #arrive(module: Module): Promise<void> {
    const { catalogue, tracing } = this.#parts;
    const known = this.#ids.get(fileOf(module));
    if (known !== undefined) {
      const moved = moveFunctions(catalogue, known, module);
      if (moved.length > 0) await tracing.arrive(moved, false);
      return;
    }
    const first = catalogue.functions.length;
    const room = laterFunctionsMax - (first - this.#first);
    const added = addModule(catalogue, module, this.#parts.more, room);
    const ids = added.map(({ id }) => id);
    this.#ids.set(fileOf(module), ids);
    if (added.length === 0) return;
    for (const seat of this.#parts.seats()) await this.#teach(seat, added, first);
    await tracing.arrive(added, true);
  }

  /** A user who asked for no others sees the functions that have sites of their own. */
  async #teach(
    seat: LocalSeat,
    added: readonly CataloguedFunction[],
    first: number,
  ): Promise<void> {
    const seen = added.filter(({ site }) => seat.wantsMore || site.displaced === undefined);
    const { traceable } = this.#parts.catalogue;
    await seat.learn(
      seen.flatMap(({ id }) => traceable[id] ?? []),
      first,
    );
  }
}

/** The longest that changes wait for a library to be unmapped, in ms. */
const pauseMsMax = 2000;

/** A library is the same when its file is. */
const fileOf = ({ path, program }: Module): string => `${path} ${program.buildId ?? ""}`;
