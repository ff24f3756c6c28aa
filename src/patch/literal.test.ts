import { describe, expect, it } from "vitest";
import type { Machine } from "../elf/elf-file.ts";
import { isOpsNumber, namesNoOps, opsMax, whyNoLiteral } from "./literal.ts";

/** What compilers leave in a literal's place. */
const compiled: readonly (readonly [Machine, readonly number[]])[] = [
  ["x86-64", [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90]],
  ["x86-64", [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00]],
  ["aarch64", [0x1f, 0x20, 0x03, 0xd5, 0x1f, 0x20, 0x03, 0xd5]],
  ["riscv64", [0x01, 0x00, 0x01, 0x00, 0x01, 0x00, 0x01, 0x00]],
  ["riscv64", [0x13, 0x00, 0x00, 0x00, 0x13, 0x00, 0x00, 0x00]],
];

describe("a literal", () => {
  it.each(compiled)("of %s names no ops as the compiler left it", (machine, bytes) => {
    const left = Uint8Array.from(bytes);
    expect(namesNoOps(machine, left)).toBe(true);
    const facts = { machine, room: 8, aligned: true, windowSize: machine === "x86-64" ? 5 : 8 };
    expect(whyNoLiteral({ ...facts, bytes: left })).toBeUndefined();
  });

  it("is no room for a call where it could be read as ops", () => {
    for (const machine of ["x86-64", "aarch64", "riscv64"] as const) {
      const windowSize = machine === "x86-64" ? 5 : 8;
      const bytes = Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0);
      expect(namesNoOps(machine, bytes)).toBe(false);
      expect(whyNoLiteral({ machine, room: 8, aligned: true, windowSize, bytes })).toBe(
        "what stands before it reads like a pointer",
      );
    }
  });

  it("gives nobody the number that no-ops have for a trampoline", () => {
    for (const [machine, bytes] of compiled.slice(2)) {
      const low = (bytes[0] ?? 0) + 256 * (bytes[1] ?? 0);
      expect(isOpsNumber(machine, low % opsMax)).toBe(false);
    }
    expect([isOpsNumber("aarch64", 0), isOpsNumber("aarch64", 1)]).toEqual([false, true]);
  });

  it("says what it needs", () => {
    const facts = { machine: "riscv64", windowSize: 8, bytes: new Uint8Array(8) } as const;
    expect(whyNoLiteral({ ...facts, room: 0, aligned: false })).toContain("=8,4");
    expect(whyNoLiteral({ ...facts, room: 8, aligned: false })).toContain("-falign-functions=8");
  });
});
