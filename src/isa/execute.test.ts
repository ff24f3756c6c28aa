import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  applyAtomic,
  applyBinary,
  applyUnary,
  binary,
  bit,
  constant,
  type Effect,
  ite,
  letTemp,
  pc,
  reg,
  set,
  sext,
  temp,
  zext,
} from "./effects.ts";
import { type Cpu, execute } from "./execute.ts";

const makeCpu = (registers: Record<string, bigint>, memory = new Map<bigint, bigint>()) => {
  const log: string[] = [];
  const cpu: Cpu = {
    read: (name) => registers[name] ?? 0n,
    write: (name, value) => {
      registers[name] = value;
    },
    load: (addr, bytes) => {
      log.push(`load ${addr} ${bytes}`);
      return memory.get(addr) ?? 0n;
    },
    store: (addr, value, bytes) => {
      log.push(`store ${addr} ${value} ${bytes}`);
      memory.set(addr, value);
    },
    observe: (effect) => {
      log.push(effect.kind);
    },
  };
  return { cpu, registers, log };
};

const run = (effects: readonly Effect[], cpu: Cpu) => execute(effects, cpu, 0x1000n, 4, 64);

describe("execute", () => {
  it("reads registers as they were before the instruction", () => {
    const { cpu, registers } = makeCpu({ a: 1n, b: 2n });
    run([set("a", reg("b")), set("b", reg("a"))], cpu);
    expect(registers).toEqual({ a: 2n, b: 1n });
  });

  it("goes on behind the instruction, or where a taken jump goes", () => {
    const { cpu } = makeCpu({ zero: 0n, one: 1n });
    const jump = (when: string): Effect => ({
      ...{ kind: "jump", as: "jump", when: reg(when) },
      target: binary("add", 64, pc, constant(0x20)),
    });
    expect(run([jump("zero")], cpu)).toEqual({ kind: "next", pc: 0x1004n });
    expect(run([jump("one")], cpu)).toEqual({ kind: "jump", pc: 0x1020n, taken: "jump" });
  });

  it("ends at a trap: what came before has happened, what comes after has not", () => {
    const { cpu, registers, log } = makeCpu({ a: 0n });
    const trap: Effect = { kind: "trap", cause: "breakpoint", code: 7n };
    const store: Effect = { kind: "store", addr: constant(8), value: constant(1), bytes: 1 };
    const outcome = run([set("a", constant(5)), trap, store], cpu);
    expect(outcome).toEqual({ kind: "trap", pc: 0x1000n, cause: "breakpoint", code: 7n });
    expect(registers).toEqual({ a: 5n });
    expect(log).toEqual([]);
  });

  it("makes the accesses in the order of the list, and tells of barriers", () => {
    const { cpu, log, registers } = makeCpu({ p: 16n }, new Map([[16n, 42n]]));
    const effects: Effect[] = [
      { kind: "load", into: "t", addr: reg("p"), bytes: 8 },
      { kind: "barrier", barrier: { name: "isb" } },
      { kind: "store", addr: constant(24), value: temp("t"), bytes: 4 },
      letTemp("u", binary("add", 64, temp("t"), constant(1))),
      set("p", temp("u")),
    ];
    run(effects, cpu);
    expect(log).toEqual(["load 16 8", "barrier", "store 24 42 4"]);
    expect(registers).toEqual({ p: 43n });
  });

  it("stores exclusively only while the reservation holds", () => {
    for (const held of [true, false]) {
      const { cpu, log, registers } = makeCpu({ s: 9n });
      const effect: Effect = {
        ...{ kind: "storeExclusive", into: "t", addr: constant(32), bytes: 8 },
        value: constant(1),
      };
      const reserving = { ...cpu, releaseReservation: () => held };
      run([effect, set("s", temp("t"))], reserving);
      expect(registers["s"]).toBe(held ? 0n : 1n);
      expect(log).toEqual(held ? ["store 32 1 8"] : []);
    }
  });

  it("wraps addresses at the word", () => {
    const { cpu, log } = makeCpu({});
    const load: Effect = { kind: "load", into: "t", addr: constant(2n ** 32n + 4n), bytes: 4 };
    execute([load], cpu, 0n, 4, 32);
    expect(log).toEqual(["load 4 4"]);
    expect(execute([], cpu, 2n ** 32n - 4n, 4, 32)).toEqual({ kind: "next", pc: 0n });
  });
});

describe("operators", () => {
  const bits = fc.constantFrom(8, 16, 32, 64);
  const value = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

  it("stay within their width, whatever goes in", () => {
    const names = ["add", "sub", "mul", "and", "or", "xor", "shl", "shr", "sar", "ror"] as const;
    fc.assert(
      fc.property(fc.constantFrom(...names), bits, value, value, (fn, width, a, b) => {
        const result = applyBinary(fn, width, a, b);
        return result >= 0n && result < 2n ** BigInt(width);
      }),
    );
  });

  it("agree with JavaScript's 32-bit operators", () => {
    const int = fc.integer();
    fc.assert(
      fc.property(int, int, fc.nat(31), (a, b, by) => {
        const two = (fn: Parameters<typeof applyBinary>[0], y: number): number =>
          Number(BigInt.asIntN(32, applyBinary(fn, 32, BigInt(a), BigInt(y))));
        expect(two("mul", b)).toBe(Math.imul(a, b));
        expect(two("xor", b)).toBe(a ^ b);
        expect(two("shl", by)).toBe(a << by);
        expect(two("sar", by)).toBe(a >> by);
        expect(two("shr", by)).toBe((a >>> by) | 0);
        expect(applyBinary("ltu", 32, BigInt(a), BigInt(b))).toBe(a >>> 0 < b >>> 0 ? 1n : 0n);
        expect(applyUnary("clz", 32, BigInt(a))).toBe(BigInt(Math.clz32(a)));
      }),
    );
  });

  it("shift everything out by the width and more", () => {
    expect(applyBinary("shl", 32, 1n, 32n)).toBe(0n);
    expect(applyBinary("shr", 64, 2n ** 63n, 64n)).toBe(0n);
    expect(applyBinary("sar", 64, 2n ** 63n, 200n)).toBe(2n ** 64n - 1n);
  });

  it("reverse bits and bytes, twice to where they were", () => {
    fc.assert(
      fc.property(value, (a) => {
        expect(applyUnary("rbit", 64, applyUnary("rbit", 64, a))).toBe(a);
        expect(applyUnary("rev", 64, applyUnary("rev", 64, a))).toBe(a);
      }),
    );
    expect(applyUnary("rev", 32, 0x12345678n)).toBe(0x78563412n);
    expect(applyUnary("rbit", 8, 0b0000_0110n)).toBe(0b0110_0000n);
  });

  it("compare, and store nothing where the comparison fails", () => {
    expect(applyAtomic("cas", 8, 0x12n, 0x99n, 0x12n)).toBe(0x99n);
    expect(applyAtomic("cas", 8, 0x12n, 0x99n, 0x13n)).toBeUndefined();
    expect(applyAtomic("maxs", 8, 0x80n, 1n, undefined)).toBe(1n);
    expect(applyAtomic("maxu", 8, 0x80n, 1n, undefined)).toBe(0x80n);
  });
});

describe("constructors", () => {
  it("compute constants at once", () => {
    expect(binary("add", 8, constant(200), constant(100))).toEqual(constant(44));
    expect(sext(8, 16, constant(0x80))).toEqual(constant(0xff80));
    expect(zext(4, constant(0xff))).toEqual(constant(15));
    expect(bit(constant(0b100), 2)).toEqual(constant(1));
  });

  it("leave divisions alone, which may be in a branch that is not taken", () => {
    const guarded = ite(reg("b"), binary("divu", 64, constant(1), constant(0)), constant(9));
    const { cpu, registers } = makeCpu({ b: 0n, r: 0n });
    run([set("r", guarded)], cpu);
    expect(registers["r"]).toBe(9n);
  });
});
