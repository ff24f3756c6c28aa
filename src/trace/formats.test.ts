import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testSession, testUuid } from "../../test/support/trace-builder.ts";
import { clockOrigin, wallNsAt } from "./clock.ts";
import {
  encodeFunction,
  functionTable,
  parseFunctions,
  shortName,
  type TracedFunction,
} from "./functions.ts";
import { decodePacketHeader, encodePacketHeader, lossPlace, packetHeaderBytes } from "./packet.ts";
import { encodeSession, formatUuid, parseSession, parseUuid } from "./session.ts";

const count = fc.nat({ max: 2 ** 31 });
const ticks = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

describe("a packet's head", () => {
  const fields = fc
    .record({
      times: fc.tuple(ticks, ticks),
      slots: fc.nat({ max: 2 ** 40 }),
      sequence: count,
      lost: count,
      lostEntries: count,
      lostExits: count,
      lossPlace: fc.constantFrom(...Object.values(lossPlace)),
      tid: count,
      pid: count,
      image: count,
      threadName: fc.stringMatching(/^[a-z /:]{0,15}$/),
    })
    .map(({ times, slots, ...rest }) => ({
      ...rest,
      begin: times[0] < times[1] ? times[0] : times[1],
      end: times[0] < times[1] ? times[1] : times[0],
      payloadBytes: slots * 8,
    }));

  it("is read as it was written", () => {
    fc.assert(
      fc.property(fields, fc.nat({ max: 64 }), (packet, offset) => {
        const bytes = new Uint8Array(offset + packetHeaderBytes);
        bytes.set(encodePacketHeader(testUuid, packet), offset);
        expect(decodePacketHeader(bytes, offset, testUuid)).toEqual({ ok: true, value: packet });
      }),
    );
  });

  it("cuts long thread names between characters", () => {
    for (const packet of fc.sample(fields, { seed: 1, numRuns: 3 })) {
      const named = { ...packet, threadName: "thirteen byteß and more" };
      const read = decodePacketHeader(encodePacketHeader(testUuid, named), 0, testUuid);
      expect(read.ok && read.value.threadName).toBe("thirteen byteß");
    }
  });

  it("is refused with a reason where it is none of this trace", () => {
    const other = new Uint8Array(16);
    const good = encodePacketHeader(testUuid, {
      begin: 5n,
      end: 6n,
      payloadBytes: 8,
      sequence: 0,
      lost: 0,
      lostEntries: 0,
      lostExits: 0,
      lossPlace: 0,
      tid: 1,
      pid: 1,
      image: 0,
      threadName: "",
    });
    const broken = (at: number, byte: number): Uint8Array => {
      const bytes = good.slice();
      bytes[at] = byte;
      return bytes;
    };
    const why = (bytes: Uint8Array, uuid = testUuid): string => {
      const read = decodePacketHeader(bytes, 0, uuid);
      return read.ok ? "fine" : read.error;
    };
    expect(why(good)).toBe("fine");
    expect(why(good, other)).toMatch(/another trace/);
    expect(why(broken(0, 0))).toMatch(/no packet/);
    expect(why(broken(40, 1))).toMatch(/size/);
    expect(why(broken(96, 9))).toMatch(/losses/);
    expect(why(broken(24, 200))).toMatch(/ends before/);
  });
});

describe("session.json", () => {
  it("is read as it was written", () => {
    const whole = {
      ...testSession,
      host: "machine",
      modules: [{ path: "/bin/program", buildId: "abcd" }, { path: "/lib/libc.so.6" }],
      options: { filter: ["a*"], ring: 4096 },
      end: {
        wallNs: 5n ** 25n,
        reason: "detached",
        clock: { frequencyHz: 7, ticks: 2n ** 60n, wallNs: 1n },
        ringlessEntries: 3,
      },
    };
    const read = parseSession(encodeSession(whole));
    expect(read).toEqual({
      ok: true,
      value: { ...whole, end: { ...whole.end, ringlessExits: undefined } },
    });
    const unfinished = parseSession(encodeSession(testSession));
    expect(unfinished.ok && unfinished.value.end).toBeUndefined();
  });

  it("is refused with a reason, wherever it is cut off or changed", () => {
    const text = encodeSession(testSession);
    for (let length = 0; length < text.length - 2; length++) {
      expect(parseSession(text.slice(0, length)).ok).toBe(false);
    }
    expect(parseSession("[1]")).toMatchObject({ ok: false });
    expect(parseSession('{"format":"patchbay-trace","version":2}')).toEqual({
      ok: false,
      error: "it is in format version 2, this reads version 1",
    });
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(parseSession(json).ok).toBe(false);
      }),
    );
  });

  it("holds uuids in the usual form", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (uuid) => {
        expect(formatUuid(uuid)).toMatch(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/);
        expect(parseUuid(formatUuid(uuid))).toEqual(uuid);
      }),
    );
    expect(parseUuid("0123")).toBeUndefined();
  });
});

describe("the functions' file", () => {
  const functions: fc.Arbitrary<TracedFunction> = fc.record({
    site: fc.nat({ max: 2 ** 24 - 2 }),
    name: fc.string(),
    demangled: fc.option(fc.string(), { nil: undefined }),
    module: fc.string(),
    address: ticks,
    file: fc.option(fc.string(), { nil: undefined }),
    line: fc.option(fc.nat(), { nil: undefined }),
    entriesOnly: fc.constantFrom(true, undefined),
    parameters: fc.option(fc.array(fc.string()), { nil: undefined }),
  });

  it("is read as it was written, but for a line that is not finished", () => {
    fc.assert(
      fc.property(fc.array(functions), fc.nat(), (list, cut) => {
        const lines = list.map(encodeFunction);
        const last = lines.at(-1) ?? "";
        expect(parseFunctions(lines.join(""))).toEqual(list);
        const torn =
          lines.slice(0, -1).join("") + last.slice(0, cut % Math.max(1, last.length - 1));
        expect(parseFunctions(torn)).toEqual(list.slice(0, -1));
      }),
    );
    expect(parseFunctions('{"site":-1,"name":"x"}\n{"site":1}\nnull\n')).toEqual([]);
  });

  it("lets the later one of two with the same site count", () => {
    const at = (site: number, name: string): TracedFunction => ({
      site,
      name,
      module: "",
      address: 0n,
    });
    const table = functionTable([at(5, "old"), at(2, "other"), at(5, "new")]);
    expect(table.all.map((f) => f.name)).toEqual(["other", "new"]);
    expect(table.siteEnd).toBe(6);
    expect([table.name(5), table.name(7)]).toEqual(["new", "site 7"]);
  });
});

describe("shortName", () => {
  // Names as GNU c++filt writes them.
  it.each([
    ["main", "main"],
    ["foo(int, char const*)", "foo"],
    ["ns::Class::method(std::vector<int, std::allocator<int> > const&) const", "ns::Class::method"],
    ["void apply<int>(int (*)(int), int)", "apply<int>"],
    ["std::map<int, std::string> const& ns::get<int>(long)", "ns::get<int>"],
    ["Class::operator()(int) const", "Class::operator()"],
    ["bool operator==<int>(A<int> const&, A<int> const&)", "operator==<int>"],
    ["Class::operator unsigned long() const", "Class::operator unsigned long"],
    ["operator new(unsigned long)", "operator new"],
    ["(anonymous namespace)::helper(int)", "(anonymous namespace)::helper"],
    ["main::{lambda(int)#1}::operator()(int) const", "main::{lambda(int)#1}::operator()"],
    ["foo(int) [clone .cold]", "foo"],
    ["foo(int) [clone .part.0] [clone .cold]", "foo"],
    ["non-virtual thunk to B::f()", "non-virtual thunk to B::f"],
    [
      "core::ptr::drop_in_place<alloc::string::String>",
      "core::ptr::drop_in_place<alloc::string::String>",
    ],
    ["<Vec<T> as Drop>::drop", "<Vec<T> as Drop>::drop"],
    ["", ""],
    [")", ")"],
    ["f())", "f())"],
  ])("makes of %j %j", (name, short) => {
    expect(shortName(name)).toBe(short);
  });
});

describe("the clock", () => {
  it("has its origin where CTF's two numbers put it, to a tick", () => {
    const clocks = fc.record({
      frequencyHz: fc.integer({ min: 1_000_000, max: 5_000_000_000 }),
      ticks: fc.bigInt({ min: 0n, max: 2n ** 55n }),
      wallNs: fc.bigInt({ min: 0n, max: 2n ** 61n }),
    });
    fc.assert(
      fc.property(clocks, fc.bigInt({ min: 0n, max: 2n ** 55n }), (clock, at) => {
        const origin = clockOrigin(clock);
        const hz = BigInt(clock.frequencyHz);
        const ns = origin.seconds * 1_000_000_000n + ((origin.ticks + at) * 1_000_000_000n) / hz;
        const difference = Number(ns - wallNsAt(clock, at));
        expect(Math.abs(difference)).toBeLessThanOrEqual(1e9 / clock.frequencyHz + 2);
        expect(origin.ticks >= 0n && origin.ticks < hz).toBe(true);
      }),
    );
    expect(wallNsAt({ frequencyHz: 2_000_000_000, ticks: 100n, wallNs: 1000n }, 300n)).toBe(1100n);
  });
});
