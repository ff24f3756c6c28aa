import { describe, expect, it } from "vitest";
import { codeAddr } from "../base/brand.ts";
import { describeFix, type FixPlan, recordBytesMax } from "./fix-description.ts";
import { decodeRecord, encodeRecord } from "./patch-record.ts";

const range = (start: bigint, bytes: bigint) => ({ start, end: start + bytes });

const plan: FixPlan = {
  name: "größer",
  file: "/srv/größer.so",
  buildId: "0123abcd",
  module: "/srv/server",
  time: "2026-01-01T00:00:00.000Z",
  functions: ["price", "größe"].map((name) => ({
    name,
    replacement: `patchbay_fix_${name}`,
    at: codeAddr(0x5555_5555_0000n),
    original: new Uint8Array(5),
    displaced: new Uint8Array(7),
    stackedOn: undefined,
    oldCode: [range(0x5555_5555_0000n, 64n), range(0x5555_5556_0000n, 8n)],
    newAddr: 0x1000n,
    newSize: 16,
  })),
  references: [],
  text: range(0x1000n, 0x1000n),
  data: [range(0x2000n, 64n), range(0x3000n, 64n), range(0x4000n, 64n), range(0x5000n, 64n)],
  mapped: range(0n, 0x6000n),
};

describe("the record of a fix", () => {
  it.each([0n, 0x7fff_f7d0_0000n, 0x7fff_ffff_0000n])("fits its room at bias %s", (bias) => {
    const stubs = plan.functions.map((_, index) => codeAddr(0x7ffe_0000_0000n + BigInt(index)));
    const record = describeFix(plan, bias, bias, stubs);
    const bytes = encodeRecord(record, recordBytesMax(plan));
    expect(bytes.length).toBe(recordBytesMax(plan));
    expect(decodeRecord(new TextDecoder().decode(bytes))).toEqual(record);
  });
});
