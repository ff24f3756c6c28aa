/**
 * AArch64 layouts. The window is two instructions. A call needs both: the first one keeps the
 * return address. A jump needs the second one alone, and leaves every register as it was.
 *
 * | compiled   | idle              | call                 | jump       |
 * | ---------- | ----------------- | -------------------- | ---------- |
 * | `nop; nop` | `mov x9, x30; nop`| `mov x9, x30; bl T`  | `nop; b T` |
 *
 * NOP, BL and B may change while they are executed (Arm ARM B2.2.5), so jumps come and go in one
 * store each, and calls once a site is idle. A window behind `bti c` is the same, four bytes on.
 */
import { assert } from "../base/assert.ts";
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import { err, ok, type Result } from "../base/result.ts";
import { aarch64 } from "../isa/aarch64/isa.ts";
import type { ReachRefusal } from "../isa/isa.ts";
import { branch, branchLink, branchMax, branchMin, move, nop } from "./aarch64-code.ts";
import { concat } from "./bytes.ts";
import type { Layout, SiteState } from "./layout.ts";

/** Bytes from the window's start to the branch. */
const SLOT = 4;
const WINDOW = 8;

/** Whether B or BL in the window at `at` reaches `target`; the distance counts from the branch. */
export function canReach(at: CodeAddr, target: CodeAddr): Result<number, ReachRefusal> {
  const distance = BigInt.asIntN(64, target - at - BigInt(SLOT));
  if (distance % 4n !== 0n) return err({ kind: "misaligned", distance, align: 4n });
  const limit = BigInt(distance < 0n ? branchMin : branchMax);
  const isFar = distance < 0n ? distance < limit : distance > limit;
  return isFar ? err({ kind: "outOfRange", distance, limit }) : ok(Number(distance));
}

const saveLink = (): Uint8Array => move(9, 30);

const withBranch =
  (first: () => Uint8Array, encode: (distance: number) => Uint8Array) =>
  (at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal> => {
    const reach = canReach(at, target);
    return reach.ok ? ok(concat(first(), encode(reach.value))) : reach;
  };

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

function recognise(bytes: Uint8Array, at: CodeAddr, compiled: Uint8Array): SiteState | undefined {
  if (sameBytes(bytes, compiled)) return { kind: "compiled" };
  if (bytes.length !== WINDOW) return undefined;
  const isLinkSaved = sameBytes(bytes.subarray(0, SLOT), saveLink());
  if (!isLinkSaved && !sameBytes(bytes.subarray(0, SLOT), nop())) return undefined;
  const insn = aarch64.decode(bytes, SLOT);
  if (insn?.mnemonic === "nop") return { kind: "idle" };
  const offset = insn?.operands["offset"];
  if (offset === undefined) return undefined;
  const target = codeAddr(at + BigInt(SLOT) + BigInt(offset));
  if (insn?.form === "bl") return isLinkSaved ? { kind: "call", target } : undefined;
  return insn?.form === "b" ? { kind: "jump", target } : undefined;
}

const makeLayout = (
  name: string,
  summary: string,
  literal?: Exclude<Layout["literal"], undefined>,
): Layout => ({
  id: `aarch64/${name}`,
  isa: "aarch64",
  summary,
  windowSize: WINDOW,
  compiledSizes: [4, 4],
  ...(literal === undefined ? {} : { literal }),
  idle: () => concat(saveLink(), nop()),
  call: withBranch(saveLink, branchLink),
  jump: withBranch(nop, branch),
  recognise,
});

/** `-fpatchable-function-entry=2`, with or without a landing pad in front. */
export const twoNops: Layout = makeLayout(
  "nop2",
  "-fpatchable-function-entry=2: two no-ops behind the landing pad, if there is one",
);

/** `-fpatchable-function-entry=4,2` with 8-byte aligned functions: room for a literal. */
export const twoNopsLiteral: Layout = makeLayout(
  "nop2-literal",
  "-fpatchable-function-entry=4,2 -falign-functions=8: literal before the function",
  { offset: -8, size: 8 },
);

/** The same with `-mbranch-protection`: the window is one instruction behind the symbol. */
export const twoNopsLiteralBti: Layout = makeLayout(
  "nop2-literal-bti",
  "-fpatchable-function-entry=4,2 -falign-functions=8 -mbranch-protection: literal, landing pad",
  { offset: -12, size: 8 },
);

/** Whether B at `at` reaches `target`. */
const reachFrom = (at: CodeAddr, target: CodeAddr): Result<number, ReachRefusal> =>
  canReach(codeAddr(at - BigInt(SLOT)), target);

const fromHere =
  (encode: (distance: number) => Uint8Array) =>
  (at: CodeAddr, target: CodeAddr): Result<Uint8Array, ReachRefusal> => {
    const reach = reachFrom(at, target);
    return reach.ok ? ok(encode(reach.value)) : reach;
  };

/**
 * The first instruction of a function that was compiled without a site: it runs elsewhere while B
 * stands in its place. No no-op can stand here, so there is no `idle` but `compiled`.
 */
export const aarch64Prologue: Layout = {
  id: "aarch64/prologue",
  isa: "aarch64",
  summary: "no site: the first instruction is moved away",
  windowSize: SLOT,
  compiledSizes: [SLOT],
  idle: () => {
    assert(false, "a prologue's idle bytes are its compiled ones");
  },
  call: fromHere(branchLink),
  jump: fromHere(branch),
  recognise: (bytes, at, compiled) => {
    if (sameBytes(bytes, compiled)) return { kind: "compiled" };
    const insn = aarch64.decode(bytes, 0);
    const offset = insn?.operands["offset"];
    if (insn?.form !== "b" || offset === undefined) return undefined;
    return { kind: "jump", target: codeAddr(at + BigInt(offset)) };
  },
};

/** Every AArch64 layout that compilers make, by its id. */
export const aarch64Layouts: ReadonlyMap<string, Layout> = new Map(
  [twoNops, twoNopsLiteral, twoNopsLiteralBti].map((layout) => [layout.id, layout]),
);
