/** Lines of a graph for people: duration, thread, and the calls indented. */
import { callEnd } from "../trace/call-stack.ts";
import { formatStack } from "../trace/stack-frames.ts";
import type { Trace } from "../trace/trace.ts";
import { traceThreads } from "../trace/trace-reader.ts";
import { formatArguments, formatResults } from "./call-values.ts";
import type { GraphCall, GraphEnd, GraphSink } from "./graph-visitor.ts";
import { formatSignal } from "./signal-text.ts";
import { clockSteps, tickNs } from "./summary.ts";
import type { Paint } from "./table.ts";
import { formatDuration, formatMeasured, plural } from "./units.ts";

export type TextGraphOptions = {
  readonly paint: Paint;
  readonly threads?: readonly number[] | undefined;
  readonly perThread?: boolean | undefined;
  readonly times?: boolean | undefined;
};

type ThreadName = { readonly tid: number; readonly name: string };

const durationWidth = 11;
const tidWidth = 8;
const timeWidth = 14;
/** Deeper calls are indented no further, so that their names stay within reach. */
const levelMax = 60;
/** A call that took so long catches the eye. */
const longNs = 1e6;
const noDuration = " ".repeat(durationWidth);

/** Text that stands before a call's name, by its level. */
type Margins = (level: number) => string;

/** What `make` gives, made once for each number: millions of lines have few different parts. */
function remembered(make: (key: number) => string): (key: number) => string {
  const known: (string | undefined)[] = [];
  return (key) => (known[key] ??= make(key));
}

export class TextGraph {
  readonly #trace: Trace;
  readonly #ns: number;
  /** Of a coarse clock; 0 of the exact one. */
  readonly #stepNs: number;
  readonly #options: TextGraphOptions;
  readonly #showsTid: boolean;
  /** Of functions, by site: a call without values, and the end of one. */
  readonly #bareCalls: (site: number) => string;
  readonly #bareClosings: (site: number) => string;
  #text = "";
  #hasHeading = false;

  constructor(trace: Trace, options: TextGraphOptions) {
    this.#trace = trace;
    this.#ns = tickNs(trace);
    this.#stepNs = clockSteps(trace)?.meanNs ?? 0;
    this.#options = options;
    this.#bareCalls = remembered((site) => `${options.paint("name", this.#name(site))}()`);
    this.#bareClosings = remembered((site) => ` ${this.#dim(`/* ${this.#name(site)} */`)}`);
    const tids = traceThreads(trace).map((thread) => thread.first.tid);
    const shown = tids.filter((tid) => options.threads?.includes(tid) ?? true);
    this.#showsTid = shown.length > 1 && options.perThread !== true;
  }

  get length(): number {
    return this.#text.length;
  }

  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  sinkFor(_: number, threadOf: () => ThreadName): GraphSink {
    let margins: Margins | undefined;
    const line = (duration: string, time: number, level: number, text: string): void => {
      margins ??= this.#beginThread(time, threadOf());
      this.#line(duration, time, margins(level), text);
    };
    const called = ({ stack, signal, start, level }: GraphCall): void => {
      if (signal !== undefined) {
        line("", start, level, this.#dim(`/* ${formatSignal(signal)} */`));
      }
      if (stack === undefined) return;
      const text = formatStack(this.#trace.nameStack, stack);
      line("", start, level, this.#dim(`/* from ${text} */`));
    };
    const end = (ending: GraphEnd, start: number): string => this.#duration(ending, start);
    return {
      open: (call) => {
        called(call);
        line("", call.start, call.level, `${this.#call(call)} {`);
      },
      close: (call, ending) =>
        line(end(ending, call.start), ending.end, call.level, `}${this.#closing(call, ending)}`),
      leaf: (call, ending) => {
        called(call);
        const result = this.#result(call.site, ending);
        const text = `${this.#call(call)}${result};${this.#remark(ending)}`;
        line(end(ending, call.start), call.start, call.level, text);
      },
      point: (call) => {
        called(call);
        line("", call.start, call.level, `${this.#call(call)};`);
      },
      orphan: (site, time) => {
        const remark = this.#dim(`/* ${this.#name(site)}: it began outside of the trace */`);
        line("", time, 0, `} ${remark}`);
      },
      fork: (child, time, level) => line("", time, level, this.#dim(`/* forks ${child} */`)),
      gap: (lost, from) => {
        const what = lost === Infinity ? "an unknown number of events" : plural(lost, "event");
        line("", from, 0, this.#options.paint("warning", `/* ${what} lost here */`));
      },
    };
  }

  #name(site: number): string {
    return this.#trace.functions.name(site);
  }

  #dim(text: string): string {
    return this.#options.paint("dim", text);
  }

  #call({ site, values }: GraphCall): string {
    if (values === undefined) return this.#bareCalls(site);
    const name = this.#options.paint("name", this.#name(site));
    return `${name}(${formatArguments(this.#trace.functions, site, values)})`;
  }

  #closing(call: GraphCall, ending: GraphEnd): string {
    if (ending.how === callEnd.returned && ending.values === undefined) {
      return this.#bareClosings(call.site);
    }
    const about = `${this.#name(call.site)}${remarks[ending.how]}`;
    const result = this.#result(call.site, ending);
    return `${result}${result === "" ? "" : ";"} ${this.#dim(`/* ${about} */`)}`;
  }

  #result(site: number, { values = [] }: GraphEnd): string {
    return values.length === 0 ? "" : ` = ${formatResults(this.#trace.functions, site, values)}`;
  }

  #remark(ending: GraphEnd): string {
    const remark = remarks[ending.how];
    return remark === "" ? "" : ` ${this.#dim(`/*${remark.replace(":", "")} */`)}`;
  }

  /** Of a call that is not complete, only that it took longer than what is known of it. */
  #duration(ending: GraphEnd, start: number): string {
    const ns = (ending.end - start) * this.#ns;
    const isOpen = ending.how === callEnd.open;
    if (ending.how > callEnd.unwound && !isOpen) return "";
    const known = isOpen ? `> ${formatDuration(ns)}` : formatMeasured(ns, this.#stepNs);
    const text = known.padStart(durationWidth);
    return ns >= longNs ? this.#options.paint("strong", text) : text;
  }

  #line(duration: string, time: number, margin: string, text: string): void {
    const clock = this.#options.times === true ? this.#time(time) : "";
    const left = duration === "" ? noDuration : duration;
    this.#text += `${clock}${left}${margin}${text}\n`;
  }

  /** What stands between the duration of a thread's call and its name. */
  #marginsOf(tid: number): Margins {
    const thread = this.#showsTid ? this.#dim(`[${tid}]`.padStart(tidWidth)) : "";
    return remembered((level) => {
      const indent = "  ".repeat(Math.min(level, levelMax));
      const deep = level > levelMax ? this.#dim(`[${level}] `) : "";
      return ` ${thread} |  ${indent}${deep}`;
    });
  }

  #time(ticks: number): string {
    return `${((ticks * this.#ns) / 1e9).toFixed(9).padStart(timeWidth)} `;
  }

  /** The first line of a thread is on its way. */
  #beginThread(time: number, thread: ThreadName): Margins {
    const margins = this.#marginsOf(thread.tid);
    const { paint, perThread } = this.#options;
    if (this.#showsTid) {
      if (!this.#hasHeading) this.#text += `${paint("heading", this.#titles())}\n`;
      this.#line("", time, margins(0), this.#dim(`/* ${thread.name} */`));
    } else if (!this.#hasHeading || perThread === true) {
      const separator = this.#hasHeading ? "\n" : "";
      const name = `# thread ${thread.tid} ${thread.name}`.trimEnd();
      this.#text += `${separator}${paint("heading", name)}\n`;
      this.#text += `${paint("heading", this.#titles())}\n`;
    }
    this.#hasHeading = true;
    return margins;
  }

  #titles(): string {
    const clock = this.#options.times === true ? `${"time [s]".padStart(timeWidth)} ` : "";
    const tid = this.#showsTid ? "thread".padStart(tidWidth) : "";
    return `#${`${clock}${"duration".padStart(durationWidth)} ${tid} |  function`.slice(1)}`;
  }
}

/** What is said of a call's end, by how it ended. */
const remarks: Readonly<Record<GraphEnd["how"], string>> = {
  [callEnd.returned]: "",
  [callEnd.unwound]: ": left by an exception or a jump",
  [callEnd.left]: ": left by a jump over it",
  [callEnd.lost]: ": its end may be lost",
  [callEnd.open]: ": still open at the trace's end",
};
