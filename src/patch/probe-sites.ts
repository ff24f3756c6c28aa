/**
 * Sites at static probes (USDT): places in the middle of functions that their authors marked. A
 * probe is a no-op of one byte; what follows it is moved with it, as a prologue is. There,
 * registers, flags and the 128 bytes below the stack pointer are in use, and there is no return to
 * wait for.
 */
import { fileOffset } from "../base/brand.ts";
import { offsetOfAddr, textSegments } from "../elf/elf-file.ts";
import { sdtProbes } from "../elf/sdt-notes.ts";
import { parseSdtOperands } from "../elf/sdt-operands.ts";
import { lowerBound } from "../symbols/symbol-table.ts";
import { displacedAt } from "./moved-window.ts";
import type { ProgramCode } from "./program-code.ts";
import { prologue } from "./prologue-layout.ts";
import type { RefusalReason, RefusedSite, SiteCandidate, SiteList } from "./site.ts";
import { branchSize, nopSizeAt } from "./x86-64-layouts.ts";

/** Bytes of a refused probe that are shown. */
const shownBytes = 16;

/**
 * The static probes of a program, each under the name `PROVIDER.NAME@usdt`; a name may have several
 * places. O(n log n).
 */
export function findProbeSites(code: ProgramCode): SiteList {
  const { elf, starts, references } = code;
  const text = textSegments(elf);
  const sites: SiteCandidate[] = [];
  const refused: RefusedSite[] = [];
  for (const { provider, name, addr, semaphore, operands } of sdtProbes(elf)) {
    const symbol = `${provider}.${name}@usdt`;
    const place = Number(addr);
    const at = offsetOfAddr(text, place);
    const refuse = (reason: RefusalReason): void => {
      const bytes = at < 0 ? new Uint8Array(0) : elf.bytes.subarray(at, at + shownBytes);
      refused.push({ addr, symbol, reason, bytes });
    };
    // The function around it: only what was decoded is known not to lead into the window.
    const start = starts[lowerBound(starts, place + 1) - 1] ?? place;
    const next = starts[lowerBound(starts, place + 1)] ?? Number.POSITIVE_INFINITY;
    const end = Math.min(elf.bytes.length, at + (next - place));
    if (at < 0) refuse("not-text");
    else if (nopSizeAt(elf.bytes, at) === 0) refuse("not-nop");
    else {
      const displaced = displacedAt(code, place, at, end);
      if (typeof displaced === "string") refuse(displaced);
      else if (!references.isDecoded(start, next)) refuse("undecodable");
      else {
        sites.push({
          addr,
          functionAddr: addr,
          symbol,
          layout: prologue,
          compiled: displaced.subarray(0, branchSize),
          fileOffset: fileOffset(at),
          literal: undefined,
          displaced,
          entriesOnly: "it is a place in a function",
          inside: { semaphore, operands: parseSdtOperands(operands) },
        });
      }
    }
  }
  return { sites: sites.sort((a, b) => (a.addr < b.addr ? -1 : 1)), refused };
}
