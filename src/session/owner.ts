/**
 * The owner of a process' tracing: it has the worker that makes all ptrace calls, hosts every user,
 * this process' own among them, and lets other Patchbay processes join.
 */
import type { Pid } from "../base/brand.ts";
import type { CatalogueOf } from "./catalogue.ts";
import { Host } from "./host.ts";
import { type Command, HostServer } from "./host-server.ts";
import type { Ownership } from "./meet.ts";
import type { NativeLibrary } from "./native-library.ts";
import type { Module } from "./process-modules.ts";
import type { Announce, Seat, SeatRequest } from "./seat.ts";
import type { ExitStatus, TargetHandlers } from "./target-worker.ts";
import type { EnabledFunction } from "./tracing.ts";
import type { WorkerClient } from "./worker-rpc.ts";

type Parts = {
  readonly pid: Pid;
  /** Kept in step with what is mapped. */
  readonly modules: Module[];
  readonly catalogue: CatalogueOf;
  readonly worker: WorkerClient<TargetHandlers>;
  readonly ownership: Ownership;
  /** Of a program that is held before its first own instruction. */
  readonly held: Held | undefined;
};

export type Held = {
  /** This process started it, and learns how it ends. */
  readonly isOurs: boolean;
  /** It has not begun: there is no harm in ending it. */
  readonly isNew: boolean;
};

export class Owner {
  readonly failure: undefined;
  readonly #host: Host;
  readonly #worker: WorkerClient<TargetHandlers>;
  readonly #ownership: Ownership;
  readonly #server: HostServer | undefined;
  readonly #held: Held | undefined;
  #isHeld: boolean;
  #isOpen = true;

  private constructor(parts: Parts, host: Host, server: HostServer | undefined) {
    this.#host = host;
    this.#server = server;
    this.#worker = parts.worker;
    this.#ownership = parts.ownership;
    this.#held = parts.held;
    this.#isHeld = parts.held !== undefined;
  }

  /** Opens the door; nothing in the process changes yet. */
  static async of(parts: Parts): Promise<Owner> {
    const { pid, modules, catalogue, worker, ownership } = parts;
    const host = new Host({ pid, modules, catalogue, target: worker });
    const { socket } = ownership;
    const server = socket === undefined ? undefined : await HostServer.listen(host, socket);
    return new Owner(parts, host, server);
  }

  /** Whether this process started the program. */
  get isOurs(): boolean {
    return this.#held?.isOurs === true;
  }

  /** Other processes that trace by this one. */
  get guests(): number {
    return this.#server?.guests ?? 0;
  }

  /** Lets others command this process, too. */
  serve(command: Command): void {
    this.#server?.serve(command);
  }

  async enabledFunctions(): Promise<readonly EnabledFunction[]> {
    return this.#host.enabledFunctions();
  }

  sit(request: SeatRequest, announce: Announce): Promise<Seat> {
    return this.#host.sit(request, announce);
  }

  /** Loads a shared library into the process. */
  loadLibrary(path: string): Promise<NativeLibrary> {
    return this.#host.loadLibrary(path);
  }

  /** Settles when no other process traces by this one, or `signal` says it does not matter. */
  async guestsGone(signal: AbortSignal): Promise<void> {
    await this.#server?.empty(signal);
  }

  /** Lets a program that is held run. */
  async run(): Promise<void> {
    if (!this.#isHeld) return;
    await this.#worker.call("release");
    this.#isHeld = false;
  }

  /** How a program that was launched here is; undefined for others. */
  async status(): Promise<ExitStatus | undefined> {
    return this.#held?.isOurs === true ? this.#worker.call("status") : undefined;
  }

  /** Lets nobody join any more, and others own what the process has become. */
  async closeDoor(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#server?.close();
    this.#ownership.lock?.[Symbol.dispose]();
  }

  /** Lets the process go, for everybody. */
  async close(): Promise<void> {
    try {
      if (this.#isOpen) await this.#server?.close();
      if (this.#isHeld) await this.#worker.call(this.#held?.isNew === true ? "abandon" : "release");
      await this.#worker.call("hangUp").catch(() => undefined);
      await this.#worker.end();
    } finally {
      if (this.#isOpen) this.#ownership.lock?.[Symbol.dispose]();
      this.#isOpen = false;
    }
  }
}
