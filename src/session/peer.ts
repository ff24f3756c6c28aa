/**
 * Calls between two Patchbay processes over a stream socket, in both directions: one JSON object
 * a line. `{"id":1,"call":"join","args":[...]}` is answered by `{"id":1,"value":...}` or
 * `{"id":1,"error":{"code":...,"doing":...,"why":...}}`. Calls are carried out one after the other,
 * in the order in which they came.
 */
import type { Socket } from "node:net";
import { type ErrorCode, type ErrorDetails, PatchbayError } from "../base/error.ts";
import { type Call, type Handlers, PendingCalls, perform } from "./worker-rpc.ts";

/** Both ends say so first; a program that speaks another version is told, not guessed at. */
export const peerVersion = 2;

type Reply = { readonly id: number; readonly value?: unknown; readonly error?: ErrorDetails };
type Message =
  | { readonly kind: "call"; readonly call: Call }
  | { readonly kind: "reply"; readonly reply: Reply };

/** Calls that are under way when a connection ends have this long, in ms. */
const farewellMs = 1_000;

/** A line longer than this many characters comes from nobody who means well. */
const lineMax = 256 << 20;

/** One end. `H` is what the other end serves. */
export class Peer<H extends Handlers> {
  /** Settles when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #name: string;
  readonly #handlers: Handlers;
  readonly #calls = new PendingCalls();
  #work: Promise<void> = Promise.resolve();
  #text = "";
  #isClosed = false;

  /**
   * @param name what the other end is, in errors: "patchbay process 4711".
   * @param handlers what this end serves.
   */
  constructor(socket: Socket, name: string, handlers: Handlers) {
    this.#socket = socket;
    this.#name = name;
    this.#handlers = handlers;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.#receive(chunk));
    socket.on("error", () => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#isClosed = true;
        this.#calls.abandon(this.#gone());
        resolve();
      });
    });
  }

  call<N extends string & keyof H>(
    name: N,
    ...args: Parameters<H[N]>
  ): Promise<Awaited<ReturnType<H[N]>>> {
    return this.#calls.add((id) => this.#send({ id, call: name, args }));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Ends the connection once what was asked has been answered and sent, or after a moment in which
   * it could not be; whether or not the other end agrees.
   */
  async end(): Promise<void> {
    const moment = new Promise((resolve) => setTimeout(resolve, farewellMs).unref());
    await Promise.race([this.#work, moment]);
    this.#socket.destroySoon();
  }

  #gone(): PatchbayError {
    return new PatchbayError({
      code: "owner-gone",
      doing: `talk to ${this.#name}`,
      why: "it has ended",
    });
  }

  #send(message: object): void {
    if (!this.#isClosed) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #receive(chunk: string): void {
    this.#text += chunk;
    for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 1);
      this.#take(line);
    }
    if (this.#text.length > lineMax) this.#socket.destroy();
  }

  #take(line: string): void {
    const message = parseMessage(line);
    if (message === undefined) this.#socket.destroy();
    else if (message.kind === "call") {
      this.#work = this.#work.then(() => this.#answer(message.call));
    } else {
      const { id, value, error } = message.reply;
      const failed = error === undefined ? undefined : new PatchbayError(error);
      this.#calls.settle(id, failed === undefined ? { value } : { error: failed });
    }
  }

  async #answer(call: Call): Promise<void> {
    const { id } = call;
    try {
      this.#send({ id, value: await perform(this.#handlers, call) });
    } catch (error) {
      this.#send({ id, error: detailsOf(error, call.name) });
    }
  }
}

/** An error as it is told to another process; a fault of ours is one, too. */
function detailsOf(error: unknown, doing: string): ErrorDetails {
  if (error instanceof PatchbayError) return error.toJSON();
  const code: ErrorCode = "system";
  return { code, doing, why: error instanceof Error ? error.message : String(error) };
}

/** A line of the protocol; undefined where it is none. */
function parseMessage(line: string): Message | undefined {
  let message: Partial<Record<"id" | "call" | "args" | "value", unknown>> & Pick<Reply, "error">;
  try {
    message = { ...JSON.parse(line) };
  } catch {
    return undefined;
  }
  const { id, call, args, value, error } = message;
  if (typeof id !== "number") return undefined;
  if (call === undefined) {
    return { kind: "reply", reply: { id, value, ...(error === undefined ? {} : { error }) } };
  }
  if (typeof call !== "string" || !Array.isArray(args)) return undefined;
  return { kind: "call", call: { id, name: call, args } };
}
