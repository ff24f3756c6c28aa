import { describe, expect, it } from "vitest";
import { execute } from "../execute.ts";
import { x86_64 } from "./semantics.ts";

/** Carries out one instruction at 0x1000 with rsp = 0x8000; what came of it. */
const run = (bytes: readonly number[], registers: Record<string, bigint> = {}) => {
  const insn = x86_64.decode(Uint8Array.from(bytes), 0);
  if (insn === undefined) throw new Error("no instruction");
  const state = new Map<string, bigint>([["rsp", 0x8000n], ...Object.entries(registers)]);
  const memory = new Map<bigint, bigint>([[0x8000n, 0x4000n]]);
  const cpu = {
    read: (name: string) => state.get(name) ?? 0n,
    write: (name: string, value: bigint) => state.set(name, value),
    load: (addr: bigint) => memory.get(addr) ?? 0n,
    store: (addr: bigint, value: bigint) => memory.set(addr, value),
  };
  const outcome = execute(x86_64.effects(insn), cpu, 0x1000n, insn.size, 64);
  return { outcome, state, memory, insn };
};

describe("what sites are made of", () => {
  it.each([[[0x90]], [[0x66, 0x90]], [[0x0f, 0x1f, 0x44, 0, 0]], [[0xf3, 0x0f, 0x1e, 0xfa]]])(
    "%j does nothing and goes on behind itself",
    (bytes) => {
      const { outcome, state } = run(bytes);
      expect(outcome).toEqual({ kind: "next", pc: 0x1000n + BigInt(bytes.length) });
      expect([...state]).toEqual([["rsp", 0x8000n]]);
    },
  );

  it("a call pushes the address behind it and goes to its target", () => {
    const { outcome, state, memory } = run([0xe8, 0xfb, 0x0f, 0, 0]);
    expect(outcome).toEqual({ kind: "jump", pc: 0x2000n, taken: "call" });
    expect(state.get("rsp")).toBe(0x7ff8n);
    expect(memory.get(0x7ff8n)).toBe(0x1005n);
  });

  it("a return pops where it goes to", () => {
    const { outcome, state } = run([0xc3]);
    expect(outcome).toEqual({ kind: "jump", pc: 0x4000n, taken: "return" });
    expect(state.get("rsp")).toBe(0x8008n);
  });

  it("jumps go forward and backward, short and near", () => {
    expect(run([0xeb, 0x03]).outcome).toMatchObject({ pc: 0x1005n, taken: "jump" });
    expect(run([0xeb, 0xfe]).outcome).toMatchObject({ pc: 0x1000n });
    expect(run([0xe9, 0xfb, 0xff, 0xff, 0xff]).outcome).toMatchObject({ pc: 0x1000n });
    expect(run([0x74, 0x10], { zf: 1n }).outcome).toMatchObject({ pc: 0x1012n });
    expect(run([0x74, 0x10], { zf: 0n }).outcome).toEqual({ kind: "next", pc: 0x1002n });
  });

  it("int3 traps at its own address", () => {
    const trap = { kind: "trap", pc: 0x1000n, cause: "breakpoint", code: 0n };
    expect(run([0xcc]).outcome).toEqual(trap);
  });
});

describe("decoding", () => {
  it("knows nothing of what depends on the processor's maker", () => {
    // A near jump with 66: Intel ignores the prefix, AMD takes 16 bits.
    expect(x86_64.decode(Uint8Array.of(0x66, 0xe9, 0, 0, 0, 0), 0)).toBeUndefined();
    expect(x86_64.decode(Uint8Array.of(0x67, 0x8b, 0x00), 0)).toBeUndefined();
  });

  it("names instructions without their prefixes, and shows them with", () => {
    const insn = x86_64.decode(Uint8Array.of(0xf0, 0x48, 0x0f, 0xc1, 0x07), 0);
    expect(insn?.mnemonic).toBe("xadd");
    expect(insn && x86_64.format(insn, 0n)).toBe("lock xadd qword ptr [rdi], rax");
    expect(insn && x86_64.effects(insn).filter(({ kind }) => kind === "atomic")).toHaveLength(1);
  });

  it("shows branch targets as addresses", () => {
    const insn = x86_64.decode(Uint8Array.of(0xe8, 0xfb, 0x0f, 0, 0), 0);
    expect(insn && x86_64.format(insn, 0x1000n)).toBe("call 0x2000");
  });
});
