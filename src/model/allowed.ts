/**
 * Which protocols may change a window of a running x86-64 program, by the checker's verdicts: a
 * small
 * table of conditions, pinned by a test that asks the checker again for every place in a line.
 */
import type { CodeAddr } from "../base/brand.ts";
import type { Use } from "../patch/designs/x86-64.ts";
import type { Layout } from "../patch/layout.ts";
import type { Protocol } from "../patch/protocol.ts";
import { liveCover, liveCoverSeveral, liveSkip, liveStore } from "../patch/protocols/live.ts";
import { firstInt3, int3Signal } from "../patch/protocols/p12-user-space.ts";
import type { MachineName } from "../patch/verdicts.ts";

/** Whose promises are relied on; `observed`: what processors of both are seen to do. */
export type Promises = "intel" | "amd" | "other" | "observed";

const machineOf: Readonly<Record<Promises, MachineName>> = {
  intel: "x86-intel",
  amd: "x86-amd",
  // Nobody is known to promise less than one byte.
  other: "x86-intel",
  observed: "x86-observed",
};

/** Where a window lies and how long it is. */
export type Extent = { readonly offsetInLine: number; readonly size: number };

/** One protocol with what it asks for. */
export type LiveRule = {
  readonly protocol: Protocol;
  /** It can be the first change of a window that the compiler left as several instructions. */
  readonly takesSeveral: boolean;
  /** It needs a SIGTRAP handler in the program. */
  readonly needsHandler: boolean;
  /** Where the verdict is "safe", per machine; absent: nowhere. */
  readonly safeOn: Readonly<Partial<Record<MachineName, (extent: Extent) => boolean>>>;
};

const anywhere = (): boolean => true;
const inQuadword = ({ offsetInLine, size }: Extent): boolean => (offsetInLine % 8) + size <= 8;
const headInQuadword = ({ offsetInLine }: Extent): boolean => offsetInLine % 8 !== 7;
const headInLine = ({ offsetInLine }: Extent): boolean => offsetInLine !== 63;
/** `a9 imm32` and the merged no-op are five bytes long. */
const five = ({ size }: Extent): boolean => size === 5;

/** The rules, cheapest first: syncs, then drains, then handlers. */
export const liveRules: readonly LiveRule[] = [
  {
    protocol: liveStore,
    takesSeveral: false,
    needsHandler: false,
    safeOn: { "x86-amd": inQuadword, "x86-observed": inQuadword },
  },
  {
    protocol: liveCover,
    takesSeveral: false,
    needsHandler: false,
    safeOn: { "x86-intel": five, "x86-amd": five, "x86-observed": five },
  },
  {
    protocol: liveSkip,
    takesSeveral: false,
    needsHandler: false,
    safeOn: { "x86-amd": headInQuadword, "x86-observed": headInLine },
  },
  {
    protocol: int3Signal,
    takesSeveral: false,
    needsHandler: true,
    safeOn: { "x86-intel": anywhere, "x86-amd": anywhere, "x86-observed": anywhere },
  },
  {
    protocol: liveCoverSeveral,
    takesSeveral: true,
    needsHandler: false,
    safeOn: { "x86-intel": five, "x86-amd": five, "x86-observed": five },
  },
  {
    protocol: firstInt3,
    takesSeveral: true,
    needsHandler: true,
    safeOn: { "x86-intel": five, "x86-amd": five, "x86-observed": five },
  },
];

export type AllowedProtocol = {
  readonly protocol: Protocol;
  /** The machine that the verdict is from. */
  readonly machine: MachineName;
  readonly needsHandler: boolean;
};

/**
 * Protocols for the window of `layout` at `at`, cheapest first; empty where threads have to be
 * held.
 * @param several the window holds several instructions now (gcc's no-ops, before the first change).
 * @param use a window of more than five bytes can be jumped from only: a call returns into it.
 */
export function allowedProtocols(
  layout: Pick<Layout, "windowSize">,
  at: CodeAddr,
  promises: Promises,
  { several = false, use = "jump" }: { readonly several?: boolean; readonly use?: Use } = {},
): readonly AllowedProtocol[] {
  if (use === "call" && layout.windowSize !== 5) return [];
  const machine = machineOf[promises];
  const extent = { offsetInLine: Number(at % 64n), size: layout.windowSize };
  return liveRules
    .filter((rule) => rule.takesSeveral === several && rule.safeOn[machine]?.(extent) === true)
    .map(({ protocol, needsHandler }) => ({ protocol, machine, needsHandler }));
}
