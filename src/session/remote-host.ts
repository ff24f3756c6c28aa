/**
 * A guest's end of joining: the tracing of a process belongs to another Patchbay process, which is
 * asked for a seat.
 */
import { closeSync, openSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { PatchbayError } from "../base/error.ts";
import type { RemoveResult } from "../target/injection.ts";
import type { Answer } from "./console.ts";
import { fromWire, type GuestCalls, type OwnerCalls, type SeatNumber } from "./host-calls.ts";
import { Peer, peerVersion } from "./peer.ts";
import type { Announce, Seat, SeatRequest, SeatState } from "./seat.ts";
import type { EnabledFunction } from "./tracing.ts";

export class RemoteHost {
  /** The process that owns the tracing. */
  readonly owner: number;
  readonly #peer: Peer<OwnerCalls>;
  readonly #announce: Map<SeatNumber, Announce>;
  #next = 1;

  private constructor(owner: number, peer: Peer<OwnerCalls>, announce: Map<SeatNumber, Announce>) {
    this.owner = owner;
    this.#peer = peer;
    this.#announce = announce;
  }

  /** Joins at the socket `path`; undefined when nobody is there. */
  static async join(path: string): Promise<RemoteHost | undefined> {
    const socket = await connect(path);
    if (socket === undefined) return undefined;
    const announced = new Map<SeatNumber, Announce>();
    const calls: GuestCalls = {
      announce: async (seat, functions) => announced.get(seat)?.(functions.map(fromWire)),
    };
    const peer = new Peer<OwnerCalls>(socket, "the patchbay process that traces it", calls);
    try {
      const { owner } = await peer.call("hello", peerVersion, process.pid);
      return new RemoteHost(owner, peer, announced);
    } catch (error) {
      await peer.end();
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  /** Why there is nothing to trace with any more; undefined while there is. */
  get failure(): string | undefined {
    if (!this.#peer.isClosed) return undefined;
    return `patchbay process ${this.owner}, which had attached, ended`;
  }

  /** Gets a seat. */
  async sit(request: SeatRequest, announce: Announce): Promise<Seat> {
    const peer = this.#peer;
    const number = this.#next++;
    this.#announce.set(number, announce);
    const { table, path, ...rings } = await peer.call("sit", number, request);
    const arenaFd = openSync(path, "r+");
    return {
      rings: { ...rings, arenaFd, table: BigInt(table), execFd: undefined },
      register: (name, handler, filter) => peer.call("register", number, name, handler, filter),
      unregister: (ops) => peer.call("unregister", number, ops),
      setFilter: (ops, filter) => peer.call("setFilter", number, ops, filter),
      setHandler: async (ops, handler) => {
        await peer.call("unregister", number, ops);
        return peer.call("register", number, ops.name, handler, ops.filter);
      },
      setEnabled: (on) => peer.call("setEnabled", number, on),
      setDispatch: (form) => peer.call("setDispatch", number, form ?? null),
      enabledFunctions: () => peer.call("enabledFunctions"),
      counts: lastKnown([], () => peer.call("counts", number)),
      state: lastKnown(nothingYet, () => peer.call("state", number)),
      leave: (isRunning) => leave(peer, number, isRunning),
      release: async () => {
        this.#announce.delete(number);
        closeSync(arenaFd);
        if (!peer.isClosed) await peer.call("release", number);
      },
    };
  }

  /** What is enabled in the process, for whomever. */
  enabledFunctions(): Promise<readonly EnabledFunction[]> {
    return this.#peer.call("enabledFunctions");
  }

  /** Has the owner carry out a command in its own session. */
  command(words: readonly string[], folder: string): Promise<Answer> {
    return this.#peer.call("command", words, folder);
  }

  /** Only who has attached first brings code in. */
  async loadLibrary(path: string): Promise<never> {
    throw new PatchbayError({
      code: "unsupported",
      doing: `load ${path} into the process`,
      why: `patchbay process ${this.owner} had attached first, and this one has joined it`,
      hint: "direct calls are for the one that attached first",
    });
  }

  /** Only who has launched a program holds it. */
  async run(): Promise<void> {}

  /** How a process ended is known to who has launched it. */
  async status(): Promise<undefined> {}

  async close(): Promise<void> {
    await this.#peer.end();
    await this.#peer.closed;
  }
}

/** How it is before anything was asked. */
const nothingYet: SeatState = {
  functions: 0,
  refused: [],
  outOfReach: [],
  dispatches: { forms: {}, reasons: {} },
  changes: {
    refused: [],
    outOfReach: [],
    protocols: { store: 0, cover: 0, coverSeveral: 0, skip: 0, spin: 0, stop: 0 },
    pauseMs: 0,
  },
};

/** What the owner says, or said last before he went. */
function lastKnown<T>(value: T, ask: () => Promise<T>): () => Promise<T> {
  let last = value;
  return async () => {
    try {
      last = await ask();
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    return last;
  };
}

/** What an owner that has gone took with it needs no leaving. */
async function leave(
  peer: Peer<OwnerCalls>,
  seat: SeatNumber,
  isRunning: boolean,
): Promise<RemoveResult | undefined> {
  try {
    return (await peer.call("leave", seat, isRunning)) ?? undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof PatchbayError && error.code === "owner-gone";

/** Connects to a socket; undefined where nobody listens. */
function connect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(undefined);
      else reject(error);
    });
  });
}
