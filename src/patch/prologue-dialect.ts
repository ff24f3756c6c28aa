/** What finding sites in ordinary prologues has to know of an ISA. */
import type { Machine } from "../elf/elf-file.ts";
import { placeUse } from "../isa/aarch64/place.ts";
import { aarch64Prologue } from "./aarch64-layouts.ts";
import { readsLink } from "./aarch64-return-readers.ts";
import { padSizeAt, whyEntriesOnlyAt, wordAt } from "./aarch64-sites.ts";
import type { Layout } from "./layout.ts";
import { displacedAt } from "./moved-window.ts";
import type { ProgramCode } from "./program-code.ts";
import { prologue } from "./prologue-layout.ts";
import { readsReturnAddress } from "./return-readers.ts";
import type { RefusalReason } from "./site.ts";
import { endbr64, isEndbr64, nopSizeAt } from "./x86-64-layouts.ts";

export type PrologueDialect = {
  readonly layout: Layout;
  /** Bytes from a function's beginning that may have to move, at the most. */
  readonly bytesMax: number;
  /** Bytes of the landing pad at `bytes[at]`, which stays where it is; 0: there is none. */
  readonly padSizeAt: (bytes: Uint8Array, at: number) => number;
  /** Bytes of the padding no-op at `bytes[at]`, which may be a part of the window; 0: none. */
  readonly paddingAt: (bytes: Uint8Array, at: number) => number;
  /**
   * The instructions (borrowed from the file) that have to move when the window at link address
   * `window` is taken, which is at `at` in the file; or why it can't be. The function ends at
   * `end`.
   */
  readonly displacedAt: (
    code: ProgramCode,
    window: number,
    at: number,
    end: number,
  ) => Uint8Array | RefusalReason;
  /** Whether the function whose bytes are `code` (borrowed) looks at its return address. */
  readonly readsReturn: (code: Uint8Array) => boolean;
  /** Why the return can't be hooked at a window at `at`, of the function that is at `start`. */
  readonly whyEntriesOnlyAt: (bytes: Uint8Array, at: number, start: number) => string | undefined;
};

/** The last instruction may begin at byte 4 of the window, behind `endbr64`. */
const x8664: PrologueDialect = {
  layout: prologue,
  bytesMax: 19 + endbr64.length,
  padSizeAt: (bytes, at) => (isEndbr64(bytes, at) ? endbr64.length : 0),
  paddingAt: nopSizeAt,
  displacedAt,
  readsReturn: readsReturnAddress,
  whyEntriesOnlyAt: () => undefined,
};

const reasons = {
  undefined: "undecodable",
  fixed: "not-movable",
  systemCall: "system-call",
} as const;

/** One instruction is replaced by one, in one store: nothing leads into the middle of it. */
function wordDisplacedAt(
  { elf }: ProgramCode,
  window: number,
  at: number,
  end: number,
): Uint8Array | RefusalReason {
  const { windowSize } = aarch64Prologue;
  if (at + windowSize > end) return "function-too-short";
  if (window % windowSize !== 0) return "undecodable";
  const { kind } = placeUse(wordAt(elf.bytes, at), window);
  if (kind === "undefined" || kind === "fixed" || kind === "systemCall") return reasons[kind];
  return elf.bytes.subarray(at, at + windowSize);
}

const aarch64: PrologueDialect = {
  layout: aarch64Prologue,
  bytesMax: 8,
  padSizeAt,
  paddingAt: () => 0,
  displacedAt: wordDisplacedAt,
  readsReturn: readsLink,
  whyEntriesOnlyAt,
};

const dialects: Readonly<Partial<Record<Machine, PrologueDialect>>> = {
  "x86-64": x8664,
  aarch64,
};

/** That of `machine`; undefined where prologues are not moved. */
export const prologueDialect = (machine: Machine): PrologueDialect | undefined => dialects[machine];
