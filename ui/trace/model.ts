/** What the trace view knows and shows: the trace, the selection, the search. */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type {
  CallAnswer,
  CallInfo,
  FunctionColumns,
  SelectionAnswer,
  TraceInfo,
} from "../../src/server/api.ts";
import { getJson, listen, query, ServerError } from "../server.ts";
import { colours } from "../theme.ts";
import { type FunctionInfo, Functions } from "./functions.ts";
import type { Area } from "./painter.ts";
import { Palette } from "./palette.ts";
import { TileStore } from "./tile-store.ts";
import { layOut, type Track } from "./tracks.ts";
import { Viewport } from "./viewport.ts";

export type Tab = "call" | "functions" | "flame" | "callers" | "source";

export class TraceModel {
  readonly info: Signal<TraceInfo>;
  readonly functions: Signal<Functions>;
  readonly view: Viewport;
  readonly store: TileStore = new TileStore(() => this.redraw());
  readonly folded: Signal<ReadonlySet<number>> = signal(new Set<number>());
  readonly tracks: ReadonlySignal<readonly Track[]>;
  readonly density: ReadonlySignal<readonly number[]>;
  readonly area: Signal<Area | undefined> = signal(undefined);
  readonly call: Signal<CallAnswer | undefined> = signal(undefined);
  readonly selection: Signal<SelectionAnswer | undefined> = signal(undefined);
  readonly isSumming: Signal<boolean> = signal(false);
  /** The function that callers, callees and source are about. */
  readonly site: Signal<number | undefined> = signal(undefined);
  readonly tab: Signal<Tab> = signal("functions");
  readonly searchText: Signal<string> = signal("");
  readonly found: ReadonlySignal<readonly FunctionInfo[]>;
  readonly palette: ReadonlySignal<Palette>;
  readonly problem: Signal<string> = signal("");
  /** Counts what should be drawn anew. */
  readonly drawing: Signal<number> = signal(0);
  #sumRequest: AbortController | undefined;

  static async load(): Promise<TraceModel> {
    const [info, functions] = await Promise.all([
      getJson<TraceInfo>("/api/trace"),
      getJson<FunctionColumns>("/api/trace/functions"),
    ]);
    return new TraceModel(info, new Functions(functions));
  }

  constructor(info: TraceInfo, functions: Functions) {
    this.info = signal(info);
    this.functions = signal(functions);
    this.view = new Viewport(info.end);
    this.tracks = computed(() => layOut(this.info.value.threads, this.folded.value));
    this.density = computed(() => sumDensity(this.info.value));
    this.found = computed(() => this.functions.value.search(this.searchText.value));
    this.palette = computed(() => {
      const found = this.searchText.value === "" ? undefined : this.found.value;
      const lit = found === undefined ? undefined : new Set(found.map(({ site }) => site));
      return new Palette(this.functions.value, colours().isDark, lit);
    });
    for (const { index, read } of info.threads) this.store.progress(index, read);
    listen("index", ({ thread, read, depths }) => {
      const { threads, ...rest } = this.info.value;
      const next = threads.map((one) => (one.index === thread ? { ...one, read, depths } : one));
      this.info.value = { ...rest, threads: next };
      this.store.progress(thread, read);
      this.redraw();
    });
    listen("indexed", () => void this.#refresh());
    // What was told before anybody listened, or while the connection was gone.
    listen("hello", () => void this.#refresh());
    void this.#refresh();
  }

  get isIndexed(): boolean {
    return this.info.value.indexedMs !== undefined;
  }

  redraw(): void {
    this.drawing.value++;
  }

  /** Asks again for what may have become known since. */
  async #refresh(): Promise<void> {
    await this.attempt(async () => {
      const info = await getJson<TraceInfo>("/api/trace");
      for (const { index, read } of info.threads) this.store.progress(index, read);
      this.functions.value = new Functions(await getJson<FunctionColumns>("/api/trace/functions"));
      this.info.value = info;
      this.redraw();
      if (this.isIndexed) await this.sum();
    });
  }

  /** Does `work`; a failure is shown, and does no harm. */
  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.problem.value = "";
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      this.problem.value = error instanceof ServerError ? error.message : String(error);
      if (!(error instanceof ServerError)) throw error;
    }
  }

  /** The stretch that sums are about: the selected one, or everything. */
  get stretch(): Area {
    return this.area.value ?? { from: 0, to: this.info.value.end, threads: [] };
  }

  stretchQuery(): string {
    const { from, to, threads } = this.stretch;
    const most = this.info.value.end + 1;
    const text = (time: number): string => Math.max(0, Math.min(most, time)).toFixed(0);
    return query({ from: text(from), to: text(to), threads });
  }

  /** Sums the stretch up; an older request that is under way is given up. */
  async sum(): Promise<void> {
    this.#sumRequest?.abort();
    const request = new AbortController();
    this.#sumRequest = request;
    this.isSumming.value = true;
    await this.attempt(async () => {
      const path = `/api/trace/selection?${this.stretchQuery()}`;
      this.selection.value = await getJson<SelectionAnswer>(path, request.signal);
    });
    if (this.#sumRequest === request) this.isSumming.value = false;
  }

  async selectArea(area: Area | undefined): Promise<void> {
    this.area.value = area;
    if (area !== undefined) {
      this.call.value = undefined;
      if (this.tab.value === "call") this.tab.value = "functions";
    }
    this.redraw();
    if (this.isIndexed) await this.sum();
  }

  async selectCallAt(thread: number, time: number, depth: number): Promise<void> {
    const slack = Math.ceil(this.view.ticksPerPixel);
    const values = { thread, time: time.toFixed(3), depth, slack };
    await this.attempt(async () => {
      const answer = await getJson<CallAnswer>(`/api/trace/call?${query(values)}`);
      this.showCall(answer.call === undefined ? undefined : answer);
    });
  }

  showCall(answer: CallAnswer | undefined): void {
    this.call.value = answer;
    if (answer?.call !== undefined) {
      this.site.value = answer.call.site;
      this.tab.value = "call";
    }
    this.redraw();
  }

  /** Goes to the next call of what was searched for, or of `sites`. */
  async goToNext(back: boolean, only?: readonly number[]): Promise<void> {
    const sites = only ?? this.found.value.slice(0, 1000).map(({ site }) => site);
    if (sites.length === 0) return;
    const here = this.call.value?.call;
    const time = here?.start ?? (back ? this.view.to : Math.max(-1, this.view.from - 1));
    await this.attempt(async () => {
      const values = { sites, time: time.toFixed(0), back: back ? 1 : 0 };
      const { call } = await getJson<CallAnswer>(`/api/trace/next?${query(values)}`);
      if (call === undefined) {
        this.problem.value = back ? "no call before this one" : "no call after this one";
        return;
      }
      await this.revealCall(call);
    });
  }

  async revealCall(call: CallInfo): Promise<void> {
    const isSmall = call.end - call.start < 3 * this.view.ticksPerPixel;
    if (isSmall) {
      const span = Math.max(20, call.end - call.start) * 12;
      this.view.show(call.start - span, call.end + span, 0);
    } else this.view.reveal(call.start, call.end);
    await this.selectCallAt(call.thread, call.start, call.depth);
  }

  /** Zooms to what is selected; to everything where nothing is. */
  focus(): void {
    const call = this.call.value?.call;
    const target = this.area.value ?? (call && { from: call.start, to: call.end });
    this.view.show(target?.from ?? 0, target?.to ?? this.info.value.end, target ? 0.1 : 0.01);
    if (this.area.value !== undefined) this.tab.value = "flame";
    this.redraw();
  }
}

function sumDensity({ threads }: TraceInfo): readonly number[] {
  const sum: number[] = [];
  for (const { density } of threads) {
    for (const [at, events] of density.entries()) sum[at] = (sum[at] ?? 0) + events;
  }
  return sum;
}
