/**
 * Changes of sites that were carried out before, for when they are asked for again: tracing that is
 * switched off and on. What was planned for one holds again where the text stands as it stood
 * then, to the byte: the windows, and what the whole words that are stored take along with them.
 */
import { workKey } from "../codegen/work.ts";
import type { TargetMemory } from "./process.ts";
import type { SiteChanges } from "./site-forms.ts";
import type { TextChange } from "./text-change.ts";
import { isText, type TextRun, type Windows } from "./text-patch.ts";

export type KnownChange = {
  /** What was asked for. */
  readonly changes: SiteChanges;
  /** The text around all of its sites as it stood before. */
  readonly text: readonly TextRun[];
  /** The sites in the order of their addresses, and what their windows hold afterwards. */
  readonly sites: Uint32Array;
  readonly windows: Windows;
  /** By site, the number of its work. */
  readonly workOf: Uint16Array;
  readonly planned: TextChange;
};

/** Off and on. */
const kept = 2;

export class KnownChanges {
  #list: readonly KnownChange[] = [];

  /** The same change from the same state, if there was one. */
  find(changes: SiteChanges, memory: TargetMemory): KnownChange | undefined {
    return this.#list.find((one) => isSame(one.changes, changes) && isText(memory, one.text));
  }

  /** Takes note of a change in the place of the oldest. */
  note(change: KnownChange): void {
    const others = this.#list.filter((one) => !isSame(one.changes, change.changes));
    this.#list = [change, ...others].slice(0, kept);
  }

  /** Sites or thunks are not what they were. */
  forget(): void {
    this.#list = [];
  }
}

const bytesOf = (column: Uint8Array | Uint16Array | Uint32Array): Uint8Array =>
  new Uint8Array(column.buffer, column.byteOffset, column.byteLength);

const isEqual = (
  a: Uint8Array | Uint16Array | Uint32Array,
  b: Uint8Array | Uint16Array | Uint32Array,
): boolean => a.length === b.length && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;

const noForms = new Uint8Array(0);

function isSame(a: SiteChanges, b: SiteChanges): boolean {
  if (a.works.length !== b.works.length) return false;
  if (!isEqual(a.sites, b.sites) || !isEqual(a.work, b.work)) return false;
  if (!isEqual(a.forms ?? noForms, b.forms ?? noForms)) return false;
  return a.works.every((work, index) => workKey(work) === workKey(b.works[index] ?? []));
}
