/** What the live view knows: the functions, what is switched on, and the latest numbers. */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type {
  LiveFilter,
  LiveFunctions,
  LiveHistogram,
  LiveRow,
  LiveSample,
  LiveState,
} from "../../src/server/live-api.ts";
import { compileGlobs } from "../../src/symbols/glob.ts";
import { getJson, listen, postJson, ServerError } from "../server.ts";

export type Switch = "watch" | "record";
export type Order = "rate" | "calls" | "self" | "mean" | "p99" | "max" | "name";

/** Samples of calls per second that are kept: two minutes. */
const historyMax = 240;

export type Words = LiveFilter;
const noWords: Words = { include: [], exclude: [] };

export class LiveModel {
  readonly functions: LiveFunctions;
  readonly state: Signal<LiveState>;
  readonly sample: Signal<LiveSample | undefined> = signal(undefined);
  /** Seconds, and calls per second then. */
  readonly history: Signal<readonly (readonly [number, number])[]> = signal([]);
  readonly histogram: Signal<LiveHistogram | undefined> = signal(undefined);
  /** Words that were chosen; those of recording count from the next recording on. */
  readonly watchWords: Signal<Words>;
  readonly recordWords: Signal<Words>;
  readonly times: Signal<boolean>;
  readonly search: Signal<string> = signal("");
  readonly order: Signal<Order> = signal("rate");
  readonly site: Signal<number | undefined> = signal(undefined);
  readonly problem: Signal<string> = signal("");
  readonly isChanging: Signal<boolean> = signal(false);
  readonly rows: ReadonlySignal<ReadonlyMap<number, LiveRow>>;
  readonly watched: ReadonlySignal<ReadonlySet<number>>;
  /** What is recorded, or will be with the next recording. */
  readonly toRecord: ReadonlySignal<ReadonlySet<number>>;
  readonly shown: ReadonlySignal<readonly number[]>;

  static async load(): Promise<LiveModel> {
    const [functions, state] = await Promise.all([
      getJson<LiveFunctions>("/api/live"),
      getJson<LiveState>("/api/live/state"),
    ]);
    return new LiveModel(functions, state);
  }

  constructor(functions: LiveFunctions, state: LiveState) {
    this.functions = functions;
    this.state = signal(state);
    this.watchWords = signal(state.watch ?? noWords);
    this.recordWords = signal(state.record ?? noWords);
    this.times = signal(state.times);
    this.rows = computed(() => new Map(this.sample.value?.rows.map((row) => [row.site, row])));
    this.watched = computed(() => new Set(this.state.value.watched));
    this.toRecord = computed(() => {
      const { record, recorded } = this.state.value;
      return new Set(record === undefined ? this.#named(this.recordWords.value) : recorded);
    });
    this.shown = computed(() => this.#sorted(this.#found()));
    listen("live", (sample) => this.#take(sample));
  }

  #take(sample: LiveSample): void {
    this.sample.value = sample;
    const point = [sample.at / 1000, sample.perSecond] as const;
    this.history.value = [...this.history.value, point].slice(-historyMax);
    const site = this.site.value;
    if (site === undefined) return;
    getJson<LiveHistogram>(`/api/live/histogram?site=${site}`).then(
      (histogram) => {
        if (this.site.value === histogram.site) this.histogram.value = histogram;
      },
      () => undefined,
    );
  }

  #found(): readonly number[] {
    const text = this.search.value.trim();
    const { names, symbols } = this.functions;
    const all = [...names.keys()];
    if (text === "") return all;
    const low = text.toLowerCase();
    const test = /[*?[]/.test(text)
      ? compileGlobs([text])
      : (name: string): boolean => name.toLowerCase().includes(low);
    return all.filter((at) => test(names[at] ?? "") || test(symbols[at] ?? ""));
  }

  /** Functions that words name. */
  #named({ include, exclude }: Words): readonly number[] {
    if (include.length === 0) return [];
    const [wanted, unwanted] = [compileGlobs(include), compileGlobs(exclude)];
    const { symbols, names } = this.functions;
    const fits = (test: (name: string) => boolean, at: number): boolean =>
      test(symbols[at] ?? "") || test(names[at] ?? "");
    return [...symbols.keys()].filter((at) => fits(wanted, at) && !fits(unwanted, at));
  }

  #sorted(found: readonly number[]): readonly number[] {
    const order = this.order.value;
    const { names } = this.functions;
    const byName = (a: number, b: number): number => (names[a] ?? "").localeCompare(names[b] ?? "");
    if (order === "name") return found.toSorted(byName);
    const key = (site: number): number => keyOf(this.rows.value.get(site), order);
    return found.toSorted((a, b) => key(b) - key(a) || byName(a, b));
  }

  words(which: Switch): Signal<Words> {
    return which === "watch" ? this.watchWords : this.recordWords;
  }

  /** Puts a function or all that match a glob under a switch, or takes them away. */
  async set(which: Switch, word: string, on: boolean): Promise<void> {
    const words = this.words(which);
    const { include, exclude } = words.value;
    const without = (list: readonly string[]): readonly string[] =>
      list.filter((one) => one !== word);
    const isOwn = include.includes(word);
    words.value = on
      ? { include: isOwn ? include : [...include, word], exclude: without(exclude) }
      : { include: without(include), exclude: isOwn ? exclude : [...exclude, word] };
    // Nothing is left to be excluded from.
    if (words.value.include.length === 0) words.value = noWords;
    if (which === "watch") await this.applyWatch();
  }

  /** One function's switch. */
  toggle(which: Switch, site: number, on: boolean): Promise<void> {
    return this.set(which, this.functions.symbols[site] ?? "", on);
  }

  async drop(which: Switch, word: string): Promise<void> {
    const words = this.words(which);
    const keep = (list: readonly string[]): readonly string[] => list.filter((one) => one !== word);
    const include = keep(words.value.include);
    words.value = include.length === 0 ? noWords : { include, exclude: keep(words.value.exclude) };
    if (which === "watch") await this.applyWatch();
  }

  async applyWatch(): Promise<void> {
    const before = this.state.value.watch ?? noWords;
    const { include, exclude } = this.watchWords.value;
    const body = { on: include.length > 0, include, exclude, times: this.times.value };
    const isDone = await this.#change("/api/live/watch", body);
    if (!isDone) this.watchWords.value = before;
  }

  async setTimes(times: boolean): Promise<void> {
    this.times.value = times;
    if (this.watchWords.value.include.length > 0) await this.applyWatch();
  }

  /** Begins a recording of what the words say: of everything without any. */
  async startRecording(): Promise<void> {
    await this.#change("/api/live/record", { on: true, ...this.recordWords.value });
  }

  async stopRecording(): Promise<void> {
    await this.#change("/api/live/record", { on: false });
  }

  async openRecording(): Promise<void> {
    await this.#attempt(async () => {
      await postJson("/api/live/open", {});
    });
  }

  async #change(path: string, body: unknown): Promise<boolean> {
    return await this.#attempt(async () => {
      this.state.value = await postJson<LiveState>(path, body);
    });
  }

  async #attempt(work: () => Promise<void>): Promise<boolean> {
    this.isChanging.value = true;
    try {
      await work();
      this.problem.value = "";
      return true;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.problem.value = error.message;
      return false;
    } finally {
      this.isChanging.value = false;
    }
  }
}

function keyOf(row: LiveRow | undefined, order: Order): number {
  if (row === undefined) return -1;
  switch (order) {
    case "rate":
      return row.perSecond;
    case "calls":
      return row.calls;
    case "self":
      return row.selfNs;
    case "mean":
      return row.meanNs ?? 0;
    case "p99":
      return row.p99Ns ?? 0;
    default:
      return row.maxNs ?? 0;
  }
}
