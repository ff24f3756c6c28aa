/** A fix as it is planned, and as it is written down in the process that has it. */
import { type CodeAddr, codeAddr, hex, type Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { nopBytes } from "../patch/x86-64-layouts.ts";
import { encodeRecord, type PatchRecord } from "./patch-record.ts";
import type { TextRange } from "./unwinder-registration.ts";
import type { FixWindow } from "./version-region.ts";

/** What is to be replaced by what. Worked out from the files; see `session/fix-plan.ts`. */
export type FixPlan = {
  readonly name: string;
  /** The library, by a path as the process sees it. */
  readonly file: string;
  readonly buildId: string | undefined;
  readonly module: string;
  readonly time: string;
  readonly functions: readonly (FixWindow & {
    readonly name: string;
    readonly replacement: string;
    /** Code of the old version. */
    readonly oldCode: readonly TextRange[];
    /** Of the new one: link address in the library, and bytes. */
    readonly newAddr: bigint;
    readonly newSize: number;
  })[];
  /** Words of the library that get addresses which its loader does not know. */
  readonly references: readonly { readonly at: bigint; readonly value: bigint }[];
  /** Link addresses of the library's executable memory. */
  readonly text: TextRange;
  /** Of data that the program may keep pointers to. */
  readonly data: readonly TextRange[];
  /** Of all of it. */
  readonly mapped: TextRange;
};

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
/** A record's address. */
export const parse = (text: string): bigint => BigInt(text);
export const toRange = ([start, end]: readonly [string, string]): TextRange => ({
  start: parse(start),
  end: parse(end),
});

/** `jmp to`, filled up with no-ops to `size` bytes. */
export function jumpBytes(at: bigint, to: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes[0] = 0xe9;
  new DataView(bytes.buffer).setInt32(1, Number(to - (at + 5n)), true);
  if (size > 5) bytes.set(nopBytes(size - 5), 5);
  return bytes;
}

/** The window of a function in a record. */
export function toWindow({ at, original, displaced }: PatchRecord["functions"][number]): FixWindow {
  return {
    at: codeAddr(parse(at)),
    original: bytesOf(original),
    displaced: displaced === "" ? undefined : bytesOf(displaced),
    stackedOn: undefined,
  };
}

/** The plan as it is kept in the process. */
export function describeFix(
  plan: FixPlan,
  handle: bigint,
  bias: bigint,
  stubs: readonly CodeAddr[],
): PatchRecord {
  const range = ({ start, end }: TextRange): [string, string] => [
    hex(start + bias),
    hex(end + bias),
  ];
  return {
    name: plan.name,
    file: plan.file,
    ...(plan.buildId === undefined ? {} : { buildId: plan.buildId }),
    module: plan.module,
    time: plan.time,
    handle: hex(handle),
    bias: hex(bias),
    text: range(plan.text),
    data: plan.data.map(range),
    mapped: range(plan.mapped),
    functions: plan.functions.map((one, index) => ({
      name: one.name,
      replacement: one.replacement,
      at: hex(one.at),
      original: hexOf(one.original),
      displaced: one.displaced === undefined ? "" : hexOf(one.displaced),
      oldCode: one.oldCode.map(({ start, end }) => [hex(start), Number(end - start)]),
      newCode: [hex(bias + one.newAddr), one.newSize],
      stub: hex(stubs[index] ?? 0n),
    })),
  };
}

/** The last address that a program can have something at: none is written with more digits. */
const lastAddress = codeAddr(0x7fff_ffff_ffffn);

/** Bytes that the plan's record takes at the most, wherever the library gets loaded. */
export function recordBytesMax(plan: FixPlan): number {
  const stubs = plan.functions.map(() => lastAddress);
  return encodeRecord(describeFix(plan, lastAddress, lastAddress, stubs)).length;
}

/** A window does not hold what it should. */
export const changedText = (pid: Pid, name: string, at: string, now: Uint8Array): PatchbayError =>
  new PatchbayError({
    code: "bad-site",
    doing: `change ${name} of process ${pid}`,
    why: `at ${at} stand ${hexOf(now)}: somebody else has changed it meanwhile`,
  });
