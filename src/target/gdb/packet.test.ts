import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodePayload,
  encodePacket,
  escapeBinary,
  fromHex,
  fromLatin1,
  PacketReader,
  toHex,
  toLatin1,
} from "./packet.ts";

const text = (bytes: Uint8Array): string => toLatin1(bytes);
const bytes = fc.uint8Array({ maxLength: 200 });

describe("packets", () => {
  it("carry the sum of their bytes", () => {
    expect(text(encodePacket(fromLatin1("g")))).toBe("$g#67");
    expect(text(encodePacket(fromLatin1("qSupported")))).toBe("$qSupported#37");
    expect(text(encodePacket(new Uint8Array(0)))).toBe("$#00");
  });

  // The manual's own example: `0* ` is four zeros.
  it("repeat a byte as the manual says", () => {
    expect(text(decodePayload(fromLatin1("0* ")) ?? new Uint8Array(0))).toBe("0000");
    expect(text(decodePayload(fromLatin1('a*"b')) ?? new Uint8Array(0))).toBe("aaaaaab");
  });

  it("repeat what an escape stands for", () => {
    expect(decodePayload(Uint8Array.of(0x7d, 0x03, 0x2a, 0x20))).toEqual(
      Uint8Array.of(0x23, 0x23, 0x23, 0x23),
    );
  });

  it.each(["*!", "a}", "a*", "a*\x1c"])("that end too early or repeat nothing: %j", (content) => {
    expect(decodePayload(fromLatin1(content))).toBeUndefined();
  });

  it("take any bytes as they are, in any pieces", () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 5 }), fc.array(fc.nat(30)), (payloads, cuts) => {
        const stream = payloads.flatMap((one) => [...encodePacket(escapeBinary(one))]);
        const reader = new PacketReader();
        const found = [];
        for (const cut of cuts) found.push(...reader.push(Uint8Array.from(stream.splice(0, cut))));
        found.push(...reader.push(Uint8Array.from(stream)));
        expect(found).toEqual(payloads.map((payload) => ({ kind: "packet", payload })));
      }),
    );
  });

  it("are told apart from acknowledgements, notifications, noise and damage", () => {
    const reader = new PacketReader();
    const stream = "+noise-$OK#9a%Stop:T05#97$OK#00";
    expect(reader.push(fromLatin1(stream)).map(({ kind }) => kind)).toEqual([
      "ack",
      "nack",
      "packet",
      "damaged",
      "damaged",
    ]);
  });

  it("never make a reader fail, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(bytes), (pieces) => {
        const reader = new PacketReader();
        for (const piece of pieces) reader.push(piece);
      }),
    );
  });
});

describe("hexadecimal text", () => {
  it("is what it stands for", () => {
    fc.assert(
      fc.property(bytes, (some) => {
        expect(fromHex(toHex(some))).toEqual(some);
      }),
    );
    expect([fromHex("0"), fromHex("0x"), fromHex("")]).toEqual([
      undefined,
      undefined,
      new Uint8Array(0),
    ]);
  });
});
