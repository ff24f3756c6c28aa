import { describe, expect, it } from "vitest";
import { hexBytes } from "../../base/brand.ts";
import { aarch64 } from "../aarch64/back-end.ts";
import type { BackEnd } from "../back-end.ts";
import { riscv64 } from "../riscv/back-end.ts";

const size = 8;
const at = 0x1_0000;

const windowOf = (fill: (bytes: Uint8Array) => void): Uint8Array => {
  const bytes = new Uint8Array(size);
  fill(bytes);
  return bytes;
};
const rules = "intel";
const windowsOf = (backEnd: BackEnd) => {
  const { callOps } = backEnd;
  if (callOps === undefined) throw new Error("sites call");
  const call = windowOf((bytes) => callOps.fillCall(at, at + 0x4_0000, bytes, 0));
  const jump = windowOf((bytes) => backEnd.fillJump(at, size, at + 0x5_0000, bytes, 0));
  const idle = windowOf((bytes) => backEnd.fillIdle(size, bytes, 0));
  const resting = call.slice();
  expect(callOps.rest?.(resting, 0)).toBe(true);
  const choose = (before: Uint8Array, after: Uint8Array): string | undefined => {
    const first = backEnd.compareFirst?.({ bytes: before, from: 0 }, { bytes: after, from: 0 });
    const facts = { offset: 0, size, several: false, moved: false, first: first ?? "any" };
    return backEnd.chooseProtocol(facts, rules);
  };
  return { callOps, call, jump, idle, resting, choose };
};

describe("windows that call on AArch64", () => {
  const { callOps, call, jump, idle, resting, choose } = windowsOf(aarch64);

  it("keep the return address first", () => {
    expect(hexBytes(call)).toBe("e9 03 1e aa ff ff 00 94");
    expect(hexBytes(resting)).toBe("e9 03 1e aa 1f 20 03 d5");
  });

  it("change by the protocol that what is there allows", () => {
    expect([choose(idle, call), choose(resting, call), choose(call, resting)]).toEqual([
      ...["link", "word", "word"],
    ]);
    expect([choose(call, jump), choose(call, idle), choose(jump, call)]).toEqual([
      ...["unlink", "unlink", "link"],
    ]);
    expect(choose(idle, jump)).toBe("word");
  });

  it("are not what jumps", () => {
    expect([callOps.rest?.(jump.slice(), 0), callOps.rest?.(idle.slice(), 0)]).toEqual([
      ...[false, false],
    ]);
  });
});

describe("windows that call on RISC-V", () => {
  const { callOps, call, jump, idle, resting, choose } = windowsOf(riscv64);

  it("go through t0", () => {
    expect(hexBytes(call)).toBe("97 02 04 00 e7 82 02 00");
    expect(hexBytes(resting)).toBe("97 02 04 00 13 00 00 00");
  });

  it("change by the protocol that what is there allows", () => {
    expect([choose(idle, call), choose(resting, call), choose(call, resting)]).toEqual([
      ...["skip", "slot", "slot"],
    ]);
    expect([choose(call, jump), choose(call, idle), choose(jump, call)]).toEqual([
      ...["skip", "skip", "skip"],
    ]);
  });

  it("are not what jumps", () => {
    expect([callOps.rest?.(jump.slice(), 0), callOps.rest?.(idle.slice(), 0)]).toEqual([
      ...[false, false],
    ]);
  });
});
