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

/** Carries out one call. */
export function perform(handlers: Handlers, { name, args }: Call): unknown {
  const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
  assert(handler !== undefined, `there is a handler for ${name}`);
  // The caller's end is typed by the same table: the arguments are the handler's.
  return handler(...(args as never[]));
}

/** Carries out one call; the reply says how it went. */
export function answer(handlers: Handlers, call: Call): Reply {
  const { id } = call;
  try {
    return { id, ok: true, value: perform(handlers, call) };
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

/** Calls that were made and have not been answered yet. */
export class PendingCalls {
  readonly #waiting = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  #next = 0;
  /** Why there will be no answers any more. */
  #end: Error | undefined;

  /** Makes a call by `send`, which is given its number. */
  add<T>(send: (id: number) => void): Promise<T> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      // Both ends are typed by the same table: the answer is what the handler returns.
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      send(id);
    });
  }

  /** Takes an answer; whether anybody waited for it. */
  settle(id: number, answer: { readonly value: unknown } | { readonly error: Error }): boolean {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if ("error" in answer) waiting?.reject(answer.error);
    else waiting?.resolve(answer.value);
    return waiting !== undefined;
  }

  /** Fails all calls, those to come as well. */
  abandon(error: Error): void {
    this.#end ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** The main thread's end: a worker and the calls that it has not answered yet. */
export class WorkerClient<H extends Handlers> {
  readonly #worker: Worker;
  readonly #calls = new PendingCalls();
  readonly #wake: Int32Array | undefined;

  /**
   * Starts the worker whose module is at `url`; `data` is its `workerData`.
   * @param wake for a worker that sleeps between calls: word 0 is changed and notified.
   */
  constructor(url: URL, name: string, data?: unknown, wake?: SharedArrayBuffer) {
    this.#wake = wake === undefined ? undefined : new Int32Array(wake);
    this.#worker = new Worker(url, { workerData: data, name });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (error) => this.#calls.abandon(error));
    this.#worker.on("exit", () => this.#calls.abandon(new Error(`the ${name} has ended`)));
  }

  call<N extends string & keyof H>(name: N, ...args: Parameters<H[N]>): Promise<ReturnType<H[N]>> {
    return this.#calls.add((id) => {
      const call: Call = { id, name, args };
      this.#worker.postMessage(call);
      if (this.#wake !== undefined) {
        Atomics.add(this.#wake, 0, 1);
        Atomics.notify(this.#wake, 0);
      }
    });
  }

  #settle(reply: Reply): void {
    const known = this.#calls.settle(reply.id, reply.ok ? { value: reply.value } : failed(reply));
    assert(known, `a reply to a call that nobody made: ${reply.id}`);
  }

  /** Whether the program waits for the worker before it ends. */
  hold(isHeld: boolean): void {
    if (isHeld) this.#worker.ref();
    else this.#worker.unref();
  }

  /** Ends the worker; calls that are under way fail. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

const failed = ({ error }: Extract<Reply, { ok: false }>): { readonly error: Error } => ({
  error: error instanceof Error ? error : new PatchbayError(error),
});
