import { describe, expect, it } from "vitest";
import {
  encodeLongEvent,
  type LongForm,
  longBase,
  longForm,
  valueFlag,
  valueType,
} from "../ring/long-event.ts";
import type { LongPayload } from "./call-stack.ts";
import { formatValues, stackOf } from "./values.ts";

/** Types in the order of their values, as `types` packs them. */
const packed = (types: readonly number[]): number =>
  types.reduce((word, type, i) => word + type * 16 ** i, 0);

function payloadOf(types: number, words: readonly bigint[], form: LongForm): LongPayload {
  const event = { base: longBase.entry, form, time: 0n, site: 1, types, words };
  const slots = new BigUint64Array(encodeLongEvent(event));
  const halves = new Uint32Array(slots.buffer);
  return { form, types, words: halves, from: 4, to: halves.length };
}

const format = (
  types: number,
  words: readonly bigint[],
  form: LongForm = longForm.values,
): string[] => formatValues(payloadOf(types, words, form));

const stackIn = (
  words: readonly bigint[],
  form: LongForm = longForm.stack,
): readonly bigint[] | undefined => stackOf(payloadOf(0, words, form));

const all = 2n ** 64n - 1n;
const floatBits = (value: number): bigint =>
  new BigUint64Array(new Float64Array([value]).buffer)[0] ?? 0n;

describe("values", () => {
  it.each([
    ["u8", valueType.u8, all, "255"],
    ["u16", valueType.u16, all, "65535"],
    ["u32", valueType.u32, all, "4294967295"],
    ["u64", valueType.u64, all, "18446744073709551615"],
    ["i8", valueType.i8, 0x180n, "-128"],
    ["i16", valueType.i16, 0x18000n, "-32768"],
    ["i32", valueType.i32, 0x1_8000_0000n, "-2147483648"],
    ["i64", valueType.i64, all, "-1"],
    ["pointer", valueType.pointer, 0x7fff_1234n, "0x7fff1234"],
    ["f32", valueType.f32, 0xffff_0000_3dcc_cccdn, "0.1"],
    ["f64", valueType.f64, floatBits(-0.1), "-0.1"],
    ["bool", valueType.bool, 0x100n, "false"],
    ["bool", valueType.bool, 1n, "true"],
    ["char", valueType.char, 0x4141n, "'A'"],
    ["char", valueType.char, 7n, "'\\x07'"],
  ])("of type %s are the bits that count", (_, type, slot, text) => {
    expect(format(type, [slot])).toEqual([text]);
  });

  it("can be text and bytes, cut off, null or unreadable", () => {
    const text = new BigUint64Array(new TextEncoder().encode('say "hi"\0\0\0\0\0\0\0\0').buffer);
    const types = packed([
      valueType.text,
      valueType.u8,
      valueType.bytes,
      valueType.text,
      valueType.text,
    ]);
    const words = [
      8n,
      text[0] ?? 0n,
      9n,
      3n | (BigInt(valueFlag.truncated) << 32n),
      0xccbbaan,
      BigInt(valueFlag.null) << 32n,
      BigInt(valueFlag.unreadable) << 32n,
    ];
    expect(format(types, words)).toEqual([
      '"say \\"hi\\""',
      "9",
      "{aa bb cc...}",
      "NULL",
      "<unreadable>",
    ]);
  });

  it("have their types in slots of their own from the ninth on", () => {
    const more = BigInt(packed([valueType.i8, valueType.u8]));
    const words = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, more, 255n, 255n];
    expect(format(0x1111_1111, words)).toEqual([
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
      "7",
      "8",
      "-1",
      "255",
    ]);
  });

  it("end where the event ends, whatever their types say", () => {
    expect(format(0x11, [7n])).toEqual(["7"]);
    expect(format(valueType.text, [100n, 1n])).toEqual([]);
    expect(format(0x1111_1111, [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n])).toHaveLength(8);
    expect(format(0, [1n, 2n])).toEqual([]);
  });

  it("stand behind the addresses of a stack", () => {
    const words = [2n, 0x401000n, 0x402000n, 7n];
    expect(format(valueType.u8, words, longForm.stack)).toEqual(["7"]);
    expect(stackIn(words)).toEqual([0x401000n, 0x402000n]);
    // One that is cut off.
    expect(stackIn([9n, 0x401000n])).toEqual([0x401000n]);
    expect(stackIn([])).toEqual([]);
    expect(stackIn(words, longForm.values)).toBeUndefined();
  });
});
