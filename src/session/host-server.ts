/**
 * The owner's end of joining: serves guests, other Patchbay processes that trace the same process,
 * at the meeting place. A guest that goes, however it goes, leaves nothing of his behind.
 */
import { createServer, type Server, type Socket } from "node:net";
import { PatchbayError } from "../base/error.ts";
import type { Answer } from "./console.ts";
import type { Host } from "./host.ts";
import { type GuestCalls, type OwnerCalls, type SeatNumber, toWire } from "./host-calls.ts";
import { Peer, peerVersion } from "./peer.ts";
import { type Seat, vacate } from "./seat.ts";

/** Functions in one message: a hundred thousand are told in pieces. */
const functionsAtOnce = 5_000;

/** Carries out a command in this process; relative paths begin at `folder`. */
export type Command = (words: readonly string[], folder: string) => Promise<Answer>;

type Guest = {
  readonly peer: Peer<GuestCalls>;
  readonly seats: Map<SeatNumber, Seat>;
};

export class HostServer {
  readonly #host: Host;
  readonly #server: Server;
  readonly #guests = new Set<Guest>();
  /** Guests that are going. */
  readonly #going = new Set<Promise<void>>();
  #onChange: () => void = () => undefined;
  #command: Command = () => Promise.reject(badCall("it takes no commands"));

  private constructor(host: Host) {
    this.#host = host;
    this.#server = createServer((socket) => this.#welcome(socket));
    // A program that forgets a session is not kept alive by it.
    this.#server.unref();
  }

  /** Serves `host` at the socket `path`. */
  static async listen(host: Host, path: string): Promise<HostServer> {
    const served = new HostServer(host);
    await new Promise<void>((resolve, reject) => {
      served.#server.once("error", reject);
      served.#server.listen(path, resolve);
    });
    return served;
  }

  /** Lets others command this process. */
  serve(command: Command): void {
    this.#command = command;
  }

  /** Other processes that trace at present. */
  get guests(): number {
    return [...this.#guests].filter(({ seats }) => seats.size > 0).length;
  }

  /** Settles when no other process traces, or `signal` says that it does not matter. */
  async empty(signal: AbortSignal): Promise<void> {
    while (this.guests > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** Sends every guest away, and takes no more. */
  async close(): Promise<void> {
    this.#server.close();
    await Promise.all([...this.#guests].map(({ peer }) => peer.end()));
    while (this.#going.size > 0) await Promise.all(this.#going);
  }

  #welcome(socket: Socket): void {
    const seats = new Map<SeatNumber, Seat>();
    const announce: GuestCalls["announce"] = (...args) => peer.call("announce", ...args);
    const command: Command = (...args) => this.#command(...args);
    const calls = ownerCalls(this.#host, seats, announce, command);
    const peer = new Peer<GuestCalls>(socket, "a guest", calls);
    const guest = { peer, seats };
    this.#guests.add(guest);
    const going = peer.closed.then(async () => {
      for (const seat of seats.values()) await vacate(seat);
      this.#guests.delete(guest);
      this.#going.delete(going);
      this.#onChange();
    });
    this.#going.add(going);
  }
}

function ownerCalls(
  host: Host,
  seats: Map<SeatNumber, Seat>,
  announce: GuestCalls["announce"],
  command: Command,
): OwnerCalls {
  let guest = 0;
  const get = (number: SeatNumber): Seat => {
    const seat = seats.get(number);
    if (seat !== undefined) return seat;
    throw badCall("it has no such seat");
  };
  return {
    hello: (version, pid) => {
      guest = pid;
      if (version !== peerVersion) throw badCall(`version ${peerVersion} is spoken here`);
      return { owner: process.pid };
    },
    sit: async (number, request) => {
      const named = { ...request, name: `${request.name}@${guest}` };
      const seat = await host.sit(named, async (functions) => {
        for (let from = 0; from < functions.length; from += functionsAtOnce) {
          const part = functions.slice(from, from + functionsAtOnce);
          await announce(number, part.map(toWire));
        }
      });
      seats.set(number, seat);
      const { table, arenaFd, execFd: _, ...rings } = seat.rings;
      return { ...rings, table: String(table), path: `/proc/${process.pid}/fd/${arenaFd}` };
    },
    register: (number, name, handler, filter) => get(number).register(name, handler, filter),
    unregister: (number, ops) => get(number).unregister(ops),
    setFilter: (number, ops, filter) => get(number).setFilter(ops, filter),
    setEnabled: (number, on) => get(number).setEnabled(on),
    setDispatch: (number, form) => get(number).setDispatch(form ?? undefined),
    enabledFunctions: () => host.enabledFunctions(),
    counts: (number) => get(number).counts(),
    state: (number) => get(number).state(),
    leave: async (number, isRunning) => (await get(number).leave(isRunning)) ?? null,
    release: async (number) => {
      const seat = get(number);
      seats.delete(number);
      await seat.release();
    },
    command,
  };
}

const badCall = (why: string): PatchbayError =>
  new PatchbayError({ code: "bad-usage", doing: "serve another patchbay process", why });
