/**
 * Lets sites do other work than before: what they are to go to is made, their windows are compared
 * with what should stand there, and are written; what nobody goes to any more is freed.
 */
import { distinct, pick } from "../base/columns.ts";
import type { Agent } from "./agent.ts";
import { type CalledSites, noNaming } from "./called-sites.ts";
import { collect } from "./collect.ts";
import { KnownChanges } from "./known-changes.ts";
import { prepareTargets } from "./prepare-targets.ts";
import type { TargetProcess } from "./process.ts";
import type { Semaphores } from "./semaphores.ts";
import { planForms, type SiteChanges } from "./site-forms.ts";
import { byAddress, type SiteStates, type SiteTable } from "./sites.ts";
import { findDiffering, readText, type TextRun, type Windows } from "./text-patch.ts";
import type { TextWriter, WriteResult } from "./text-writer.ts";
import type { ThunkStore } from "./thunk-store.ts";

export type ChangeResult = WriteResult & {
  /** Sites whose bytes were not what they should be; they are left alone for good. */
  readonly refused: readonly number[];
  /** Sites that a branch reaches no free memory from; they are left alone, too. */
  readonly outOfReach: readonly number[];
};

type Parts = {
  readonly process: TargetProcess;
  readonly table: SiteTable;
  readonly states: SiteStates;
  readonly thunks: ThunkStore;
  readonly writer: TextWriter;
  readonly semaphores: Semaphores;
  readonly agent: Agent | undefined;
  /** Sites that call; undefined without an agent, which alone stores words whole. */
  readonly called: CalledSites | undefined;
  /** Whether returns can be hooked. */
  readonly exits: boolean;
  /** Whether frames have words for an instance. */
  readonly hasFrameWords: (instance: number) => boolean;
  /** Whether a pc is in generated code. */
  readonly isGenerated: (pc: bigint) => boolean;
  /** Whether nobody runs. */
  readonly isHeld: () => boolean;
};

/** Of each site, what it is to do: see `planForms`. */
type Forms = { readonly workOf: Uint16Array; readonly calls: Uint8Array };

/** Sites as they are, before they change. */
type Findings = {
  /** The text around all that were asked for. */
  readonly text: readonly TextRun[];
  readonly refused: readonly number[];
  /** Those that are as they should be. */
  readonly intact: Uint32Array;
};

const noSites = new Uint32Array(0);

export class SiteChanger {
  readonly #parts: Parts;
  /** By site: the number of the work whose thunk it jumps to; 0 where it jumps to none. */
  readonly #kinds: Uint16Array;
  readonly #known = new KnownChanges();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#kinds = new Uint16Array(parts.table.count);
  }

  /** The text of `sites` is new, or gone: they jump nowhere. */
  forget(sites: Uint32Array): void {
    for (const site of sites) this.#kinds[site] = 0;
    this.#known.forget();
  }

  /** Lets sites do other work than before; exits are left out where returns can't be hooked. */
  change(changes: SiteChanges): ChangeResult {
    return this.#changeAgain(changes) ?? this.#changeAnew(changes);
  }

  /** Carries out what was planned for the same change; undefined where that is not possible. */
  #changeAgain(changes: SiteChanges): ChangeResult | undefined {
    const { process, states, writer } = this.#parts;
    if (!writer.isLive) return undefined;
    const known = this.#known.find(changes, process.memory);
    if (known === undefined) return undefined;
    const { sites, windows, workOf } = known;
    const { planned: _, ...result } = writer.write(sites, windows, noNaming, known.planned);
    states.settle(sites, windows);
    for (const site of sites) this.#kinds[site] = workOf[site] ?? 0;
    this.#collect();
    return { ...result, refused: [], outOfReach: [] };
  }

  #changeAnew(changes: SiteChanges): ChangeResult {
    const { process, table, states, thunks, called, writer, semaphores } = this.#parts;
    const { list } = changes;
    const sites = byAddress(table, changes.sites.slice());
    if (list !== undefined) called?.ops.setList(list);
    const { exits, hasFrameWords } = this.#parts;
    const means = { table, thunks, exits, hasFrameWords };
    const forms = planForms(changes, { ...means, called: writer.isLive ? called : undefined });
    const { workOf, calls } = forms;
    const { text, refused, intact } = this.#look(sites, forms);
    const outOfReach = prepareTargets({ thunks, called }, intact, workOf, calls);
    const wanted = states.refuse(outOfReach, intact);
    const rewritten = pick(wanted, (site) => !this.#stays(site, forms));
    const hasLiterals = calls.includes(1) || called?.isUsed === true;
    const naming = called?.name(hasLiterals ? wanted : noSites, (site) =>
      calls[site] === 1 ? thunks.workOf(workOf[site] ?? 0) : undefined,
    );
    const windows = this.#windows(rewritten, forms);
    const isTraced = (site: number): boolean => workOf[site] !== 0;
    semaphores.plan(wanted, isTraced, () => process.maps());
    const { planned, ...result } = writer.write(rewritten, windows, naming ?? noNaming);
    states.settle(rewritten, windows);
    semaphores.apply();
    for (const site of wanted) this.#kinds[site] = calls[site] === 1 ? 0 : (workOf[site] ?? 0);
    if (wanted.length < sites.length) this.#known.forget();
    const isWhole = rewritten.length === sites.length && !hasLiterals && list === undefined;
    if (isWhole && planned !== undefined && !semaphores.areUsed) {
      this.#known.note({ changes, text, sites, windows, workOf, planned });
    }
    this.#collect();
    return { ...result, refused, outOfReach };
  }

  /** Compares sites and the literals that are to be used with what should stand there. */
  #look(sites: Uint32Array, { calls }: Forms): Findings {
    const { process, states, called } = this.#parts;
    const asked = states.allowed(sites);
    const present = states.present(asked);
    const text = readText(process.memory, present);
    const differing = findDiffering(present, text);
    const callers = calls.includes(1) ? pick(asked, (site) => calls[site] === 1) : noSites;
    const unnamed = called?.differing(process.memory, callers) ?? [];
    const refused = [...new Set([...differing.map((index) => asked[index] ?? 0), ...unnamed])];
    return { text, refused, intact: states.refuse(refused, asked) };
  }

  /** What the windows of `sites` are to hold. */
  #windows(sites: Uint32Array, { workOf, calls }: Forms): Windows {
    const { states, thunks, called } = this.#parts;
    return states.windows(sites, (site, bytes, from) => {
      const kind = workOf[site] ?? 0;
      if (kind === 0) states.fillIdle(site, bytes, from);
      else if (calls[site] === 1) {
        states.fillCall(site, called?.trampoline(site) ?? 0, bytes, from);
      } else states.fillJump(site, thunks.address(kind, site), bytes, from);
    });
  }

  /** Whether a window stays: a site that goes on calling has another literal, and that is all. */
  #stays(site: number, { workOf, calls }: Forms): boolean {
    if (this.#parts.called?.isCalling(site) === true) return calls[site] === 1;
    const kind = this.#kinds[site];
    return kind !== 0 && kind === workOf[site] && calls[site] === 0;
  }

  #collect(): void {
    const { process, agent, called, thunks, isGenerated, isHeld } = this.#parts;
    if (agent === undefined || called === undefined) return;
    const inUse = distinct(this.#kinds);
    const parts = { process, agent, called, thunks, inUse, inside: isGenerated, isHeld: isHeld() };
    if (collect(parts)) this.#known.forget();
  }
}
