/**
 * Calls across worker threads: a worker serves a table of functions, the main thread calls them by
 * name and awaits what they return. Patchbay's errors arrive as what they were.
 */
import { type MessagePort, parentPort, Worker } from "node:worker_threads";
import { assert, ensure } from "../base/assert.ts";
import { type ErrorDetails, PatchbayError } from "../base/error.ts";

/** Functions that a worker serves; their arguments and results can be cloned. */
export type Handlers = Readonly<Record<string, (...args: never[]) => unknown>>;

type Call = { readonly id: number; readonly name: string; readonly args: readonly unknown[] };
type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ErrorDetails | Error };

/** Carries out one call; the reply says how it went. */
export function answer(handlers: Handlers, call: Call): Reply {
  const { id, name, args } = call;
  try {
    const handler = ensure(handlers[name], `a handler for ${name}`);
    // The caller's end is typed by the same table: the arguments are the handler's.
    return { id, ok: true, value: handler(...(args as never[])) };
  } catch (error) {
    if (error instanceof PatchbayError) return { id, ok: false, error: error.toJSON() };
    return { id, ok: false, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** Serves `handlers` in this worker until it is ended. */
export function serve(handlers: Handlers): void {
  const port: MessagePort = ensure(parentPort, "this runs in a worker");
  port.on("message", (call: Call) => port.postMessage(answer(handlers, call)));
}

export type { Call, Reply };

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (e: Error) => void };

/** The main thread's end: a worker and the calls that it has not answered yet. */
export class WorkerClient<H extends Handlers> {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #name: string;
  readonly #wake: Int32Array | undefined;
  #next = 0;
  /** Why there is no worker any more. */
  #end: Error | undefined;

  /**
   * Starts the worker whose module is at `url`; `data` is its `workerData`.
   * @param wake for a worker that sleeps between calls: word 0 is changed and notified.
   */
  constructor(url: URL, name: string, data?: unknown, wake?: SharedArrayBuffer) {
    this.#name = name;
    this.#wake = wake === undefined ? undefined : new Int32Array(wake);
    this.#worker = new Worker(url, { workerData: data, name });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (error) => this.#abandon(error));
    this.#worker.on("exit", () => this.#abandon(new Error(`the ${this.#name} has ended`)));
  }

  call<N extends string & keyof H>(name: N, ...args: Parameters<H[N]>): Promise<ReturnType<H[N]>> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      const call: Call = { id, name, args };
      this.#worker.postMessage(call);
      if (this.#wake !== undefined) {
        Atomics.add(this.#wake, 0, 1);
        Atomics.notify(this.#wake, 0);
      }
    });
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    assert(waiting !== undefined, `a reply to a call that nobody made: ${reply.id}`);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting.resolve(reply.value);
    else
      waiting.reject(reply.error instanceof Error ? reply.error : new PatchbayError(reply.error));
  }

  #abandon(error: Error): void {
    this.#end ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** Ends the worker; calls that are under way fail. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
