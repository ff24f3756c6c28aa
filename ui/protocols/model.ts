/** What the protocols view knows: the lists, outcomes so far, what is chosen and edited. */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Trace } from "../../src/model/show/replay.ts";
import type {
  CheckInfo,
  CheckOutcome,
  FamilyInfo,
  OwnAnswer,
  ProtocolInfo,
  StepTexts,
} from "../../src/server/api.ts";
import { getJson, listen, postJson, ServerError } from "../server.ts";

type Lists = {
  readonly families: readonly FamilyInfo[];
  readonly outcomes: readonly CheckOutcome[];
};

/** A counterexample and where it comes from. */
export type Played = { readonly trace: Trace; readonly isEdited: boolean };

export class ProtocolModel {
  readonly families: readonly FamilyInfo[];
  readonly outcomes: Signal<ReadonlyMap<string, CheckOutcome>>;
  readonly protocol: Signal<ProtocolInfo | undefined>;
  readonly check: Signal<CheckInfo | undefined> = signal(undefined);
  readonly edited: Signal<StepTexts | undefined> = signal(undefined);
  readonly editedOutcome: Signal<CheckOutcome | undefined> = signal(undefined);
  readonly played: Signal<Played | undefined> = signal(undefined);
  readonly left: Signal<number> = signal(0);
  readonly isAsking: Signal<boolean> = signal(false);
  readonly problem: Signal<string> = signal("");
  readonly summary: ReadonlySignal<string>;

  static async load(): Promise<ProtocolModel> {
    return new ProtocolModel(await getJson<Lists>("/api/protocols"));
  }

  constructor({ families, outcomes }: Lists) {
    this.families = families;
    this.outcomes = signal(new Map(outcomes.map((one) => [one.id, one])));
    this.protocol = signal(undefined);
    this.choose(families[0]?.protocols[0]);
    this.summary = computed(() => {
      const all = [...this.outcomes.value.values()];
      const wrong = all.filter(({ asExpected }) => !asExpected).length;
      if (all.length === 0) return "";
      return `${all.length} checked, ${wrong === 0 ? "all" : `${all.length - wrong}`} as expected`;
    });
    listen("checked", (outcome) => {
      this.outcomes.value = new Map(this.outcomes.value).set(outcome.id, outcome);
    });
    listen("checking", ({ left, problem }) => {
      this.left.value = left;
      if (problem !== undefined) this.problem.value = problem;
    });
  }

  choose(protocol: ProtocolInfo | undefined): void {
    this.protocol.value = protocol;
    const isWrong = ({ expected }: CheckInfo): boolean => expected !== "safe";
    this.check.value = protocol?.checks.find(isWrong) ?? protocol?.checks[0];
    this.edited.value = undefined;
    this.editedOutcome.value = undefined;
    this.played.value = undefined;
    this.problem.value = "";
  }

  async attempt(work: () => Promise<void>): Promise<void> {
    this.isAsking.value = true;
    try {
      this.problem.value = "";
      await work();
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.problem.value = error.message;
    } finally {
      this.isAsking.value = false;
    }
  }

  async run(checks: readonly CheckInfo[]): Promise<void> {
    await this.attempt(async () => {
      const ids = checks.map(({ id }) => id);
      const { left } = await postJson<{ left: number }>("/api/protocols/check", { ids });
      this.left.value = left;
    });
  }

  async stop(): Promise<void> {
    await this.attempt(async () => {
      await postJson("/api/protocols/stop", {});
      this.left.value = 0;
    });
  }

  /** Plays the counterexample of a check. */
  async play(check: CheckInfo): Promise<void> {
    this.check.value = check;
    await this.attempt(async () => {
      const answer = await postJson<{ trace?: Trace }>("/api/protocols/trace", { id: check.id });
      this.played.value = answer.trace && { trace: answer.trace, isEdited: false };
      if (answer.trace === undefined) this.problem.value = "safe: there is no counterexample";
    });
  }

  /** Checks what was edited on the chosen check's site and machine. */
  async checkEdited(): Promise<void> {
    const steps = this.edited.value ?? this.protocol.value?.steps;
    const basis = this.check.value?.id;
    if (steps === undefined || basis === undefined) return;
    this.editedOutcome.value = undefined;
    await this.attempt(async () => {
      const { outcome, trace } = await postJson<OwnAnswer>("/api/protocols/own", {
        ...steps,
        basis,
      });
      this.editedOutcome.value = outcome;
      this.played.value = trace && { trace, isEdited: true };
    });
  }
}
