/**
 * Large traces out of nothing, for benchmarks: random calls of a seed, written as fast as the disk
 * takes them. Calls look like a program's: each function calls few others, most calls are leaves,
 * stacks are some ten to thirty calls deep, a packet is half a ring of 64 Ki slots.
 */
import { eventBytes, eventKind, siteShift, timeShift } from "../src/ring/layout.ts";
import { createTraceDirectory, type ThreadStream } from "../src/session/trace-directory.ts";
import type { TracedFunction } from "../src/trace/functions.ts";

export type SyntheticOptions = {
  readonly seed: number;
  /** Events in all threads together. */
  readonly events: number;
  readonly threads: number;
  readonly functions: number;
};

const packetSlots = 32 << 10;
const depthMax = 30;
const frequencyHz = 3_000_000_000;
/** Some days after the machine was started. */
const startTicks = 1n << 50n;
const timeUnitHigh = 2 ** 30;

/** Writes a trace to the new directory `path`. */
export function writeSyntheticTrace(path: string, options: SyntheticOptions): void {
  const trace = createTraceDirectory(path, {
    tool: "patchbay bench",
    command: ["synthetic"],
    pid: 1,
    architecture: "x86-64",
    clock: { frequencyHz, ticks: startTicks, wallNs: 1_700_000_000_000_000_000n },
    modules: [],
    options: {},
  });
  trace.addFunctions(Array.from({ length: options.functions }, (_, site) => functionOf(site)));
  const perThread = Math.floor(options.events / options.threads);
  for (let thread = 0; thread < options.threads; thread++) {
    const stream = trace.stream(1000 + thread);
    writeThread(stream, 1000 + thread, perThread, options.functions, options.seed + thread);
  }
  trace.finish({ wallNs: 1_700_000_100_000_000_000n, reason: "everything was written" });
}

const functionOf = (site: number): TracedFunction => ({
  site,
  name: `function_number_${site}`,
  module: "/usr/bin/synthetic",
  address: 0x40_0000n + BigInt(site) * 64n,
});

function writeThread(
  stream: ThreadStream,
  tid: number,
  events: number,
  functions: number,
  seed: number,
): void {
  const words = new Uint32Array(packetSlots * 2);
  const bytes = new Uint8Array(words.buffer);
  const walk = new RandomWalk(functions, seed);
  for (let done = 0; done < events; ) {
    const count = Math.min(packetSlots, events - done);
    const first = walk.time + 1;
    walk.write(words, count);
    stream.append(
      {
        begin: startTicks + BigInt(first),
        end: startTicks + BigInt(walk.time),
        lost: 0,
        lostEntries: 0,
        lostExits: 0,
        lossPlace: 0,
        tid,
        pid: 1,
        image: 0,
        threadName: `worker ${tid}`,
      },
      [bytes.subarray(0, count * eventBytes)],
    );
    done += count;
  }
  stream.close();
}

/** Calls and returns at random. */
class RandomWalk {
  /** Ticks of the last event. */
  time = 0;
  #state: number;
  #depth = 0;
  readonly #functions: number;
  readonly #stack: Uint32Array = new Uint32Array(depthMax);

  constructor(functions: number, seed: number) {
    this.#functions = functions;
    this.#state = (seed * 0x9e37_79b9) >>> 0 || 1;
  }

  /** Makes `count` events. */
  write(words: Uint32Array, count: number): void {
    let state = this.#state;
    let depth = this.#depth;
    for (let slot = 0; slot < count; slot++) {
      // xorshift32 (Marsaglia 2003).
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      const returns = depth === depthMax || (depth > 0 && (state & 0xff) < 128 + depth - 12);
      let site = 0;
      if (returns) site = this.#stack[--depth] ?? 0;
      else {
        // Each function calls some others, half of the time the first of them, a quarter of the
        // time the second, and so on.
        const choice = Math.clz32((state >>> 8) | 1) - 8;
        const caller = depth === 0 ? 0 : (this.#stack[depth - 1] ?? 0);
        site = (caller * 31 + choice * 7 + 1) % this.#functions;
        this.#stack[depth++] = site;
      }
      this.time += slot === 0 ? 1 : 10 + ((state >>> 4) & 0x3f);
      const low = this.time % timeUnitHigh;
      const high = Math.floor(this.time / timeUnitHigh) & 0xff;
      const kind = returns ? eventKind.exit : eventKind.entry;
      words[slot * 2] = ((low << timeShift) | kind) >>> 0;
      words[slot * 2 + 1] = ((site << (siteShift - 32)) | high) >>> 0;
    }
    this.#state = state;
    this.#depth = depth;
  }
}
