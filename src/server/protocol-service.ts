/** Protocols as the page sees them: the lists, and a worker that checks what is asked for. */

import { PatchbayError } from "../base/error.ts";
import { machines } from "../model/machine.ts";
import type { Trace as ProtocolTrace } from "../model/show/replay.ts";
import { type Check, checkId, type Family, type Protocol } from "../patch/protocol.ts";
import { families } from "../patch/protocols/families.ts";
import { describeStep, type Step } from "../patch/steps.ts";
import { WorkerClient } from "../session/worker-rpc.ts";
import type {
  CheckInfo,
  CheckOutcome,
  FamilyInfo,
  OwnAnswer,
  OwnProtocol,
  ProtocolInfo,
  ServerEvents,
} from "./api.ts";
import type { ProtocolHandlers } from "./protocol-worker.ts";

const workerUrl = new URL("./protocol-worker.js", import.meta.url);

type Tell = <N extends "checked" | "checking">(name: N, data: ServerEvents[N]) => void;
type Client = WorkerClient<ProtocolHandlers>;

const textOf = (steps: readonly Step[] = []): string => steps.map(describeStep).join("\n");

const checkInfo = (check: Check): CheckInfo => ({
  id: checkId(check),
  design: check.design.id,
  designSummary: check.design.summary,
  machine: check.machine,
  machineSummary: machines[check.machine].summary,
  adversities: check.adversities,
  phase: check.phase ?? 0,
  expected: check.expected,
  reason: check.reason,
});

const protocolInfo = (protocol: Protocol, checks: readonly Check[]): ProtocolInfo => ({
  id: protocol.id,
  title: protocol.title,
  steps: {
    enable: textOf(protocol.enable),
    disable: textOf(protocol.disable),
    modify: textOf(protocol.modify),
    retire: textOf(protocol.retire),
  },
  checks: checks.filter((check) => check.protocol.id === protocol.id).map(checkInfo),
});

function familyInfo({ id, title, source, checks }: Family): FamilyInfo {
  const protocols = new Map(checks.map(({ protocol }) => [protocol.id, protocol]));
  const infos = [...protocols.values()].map((protocol) => protocolInfo(protocol, checks));
  return { id, title, source, protocols: infos };
}

export class ProtocolService {
  readonly #tell: Tell;
  readonly #outcomes = new Map<string, CheckOutcome>();
  readonly #all: ReadonlySet<string>;
  #queue: string[] = [];
  /** Works the queue off; another one answers single questions meanwhile. */
  #checker: Client | undefined;
  #asked: Client | undefined;
  #isRunning = false;

  constructor(tell: Tell) {
    this.#tell = tell;
    this.#all = new Set(families.flatMap(({ checks }) => checks.map(checkId)));
  }

  async close(): Promise<void> {
    await Promise.all([this.#checker?.end(), this.#asked?.end()]);
  }

  list(): { readonly families: readonly FamilyInfo[]; readonly outcomes: readonly CheckOutcome[] } {
    return { families: families.map(familyInfo), outcomes: [...this.#outcomes.values()] };
  }

  /** Puts checks into the queue; the page hears of each when it is done. */
  check(ids: readonly string[]): { readonly left: number } {
    const unknown = ids.find((id) => !this.#all.has(id));
    if (unknown !== undefined) {
      const doing = `check ${unknown.slice(0, 80)}`;
      throw new PatchbayError({ code: "no-match", doing, why: "there is no such check" });
    }
    const waiting = new Set(this.#queue);
    this.#queue.push(...ids.filter((id) => !waiting.has(id)));
    if (!this.#isRunning) void this.#work();
    return { left: this.#queue.length };
  }

  /** Forgets what is in the queue, and gives up the check that runs. */
  async stop(): Promise<{ readonly left: number }> {
    this.#queue = [];
    const checker = this.#checker;
    this.#checker = undefined;
    await checker?.end();
    return { left: 0 };
  }

  async #work(): Promise<void> {
    this.#isRunning = true;
    let problem: string | undefined;
    for (let id = this.#queue.shift(); id !== undefined; id = this.#queue.shift()) {
      this.#tell("checking", { left: this.#queue.length + 1, problem: undefined });
      this.#checker ??= new WorkerClient<ProtocolHandlers>(workerUrl, "protocol worker");
      const checker = this.#checker;
      try {
        const outcome = await checker.call("check", id);
        this.#outcomes.set(id, outcome);
        this.#tell("checked", outcome);
      } catch (error) {
        // One that was stopped has no outcome; everything else is told.
        if (this.#checker === checker) problem = error instanceof Error ? error.message : "failed";
      }
    }
    this.#isRunning = false;
    this.#tell("checking", { left: 0, problem });
  }

  /** A counterexample; `undefined` where the check is safe. */
  async trace(id: string): Promise<ProtocolTrace | undefined> {
    return (await this.#ask((worker) => worker.call("trace", id))) ?? undefined;
  }

  async own(protocol: OwnProtocol): Promise<OwnAnswer> {
    return await this.#ask((worker) => worker.call("own", protocol));
  }

  /** Asks a worker of its own; a question that comes meanwhile takes the place of this one. */
  async #ask<T>(question: (worker: Client) => Promise<T>): Promise<T> {
    const before = this.#asked;
    const worker = new WorkerClient<ProtocolHandlers>(workerUrl, "protocol question");
    this.#asked = worker;
    await before?.end();
    try {
      return await question(worker);
    } catch (error) {
      if (this.#asked === worker) throw error;
      const why = "another question took its place";
      throw new PatchbayError({ code: "unsupported", doing: "check a protocol", why });
    } finally {
      if (this.#asked === worker) this.#asked = undefined;
      await worker.end();
    }
  }
}
