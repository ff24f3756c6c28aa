import { describe, expect, it } from "vitest";
import { type CodeAddr, codeAddr, hexBytes } from "../../base/brand.ts";
import { Assembler } from "./assembler.ts";
import { mem64 } from "./operands.ts";
import { r32, r64 } from "./registers.ts";
import { relocatePrologue } from "./relocator.ts";

const at = codeAddr(0x401000n);
const near = codeAddr(0x501000n);
const far = codeAddr(0x7f00_0000_0000n);
const windowBytes = 5;

const assemble = (build: (a: Assembler) => void): Uint8Array => {
  const a = new Assembler(at);
  build(a);
  return a.finish().bytes;
};
const refusalOf = (build: (a: Assembler) => void, to: CodeAddr = near): string => {
  const moved = relocatePrologue(assemble(build), at, windowBytes, to);
  return moved.ok ? "moved" : moved.error.kind;
};

describe("moving a prologue", () => {
  it("copies whole instructions and jumps back behind them", () => {
    const code = assemble((a) => {
      a.i("push", r64.rbp).i("mov", r64.rbp, r64.rsp).i("sub", r64.rsp, 8).i("ret");
    });
    const moved = relocatePrologue(code, at, windowBytes, near);
    if (!moved.ok) throw new Error(moved.error.reason);
    const { bytes, ...rest } = moved.value;
    expect(hexBytes(bytes)).toBe("55 48 89 e5 48 83 ec 08 e9 fb ff ef ff");
    expect(rest).toEqual({
      window: at,
      displacedBytes: 8,
      resume: codeAddr(0x401008n),
      hasIndirectJumps: false,
      moves: [
        { from: at, to: near },
        { from: codeAddr(0x401001n), to: codeAddr(0x501001n) },
        { from: codeAddr(0x401004n), to: codeAddr(0x501004n) },
      ],
    });
  });

  it("leaves endbr64 where it is", () => {
    const code = assemble((a) => a.i("endbr64").i("mov", r32.eax, 1).i("ret"));
    const moved = relocatePrologue(code, at, windowBytes, near);
    expect(moved.ok && [moved.value.window, moved.value.resume]).toEqual([
      codeAddr(0x401004n),
      codeAddr(0x401009n),
    ]);
  });

  it("does not come back from a jump or a return", () => {
    const code = assemble((a) => a.nop(3).i("xor", r32.eax, r32.eax).i("ret").i("int3"));
    const moved = relocatePrologue(code.subarray(0, 6), at, 6, near);
    expect(moved.ok && moved.value.resume).toBeUndefined();
  });
});

describe("refuses", () => {
  it("a function that is shorter than the window", () => {
    expect(refusalOf((a) => a.i("ret"))).toBe("tooShort");
  });

  it("a window that a branch comes into", () => {
    const loop = (a: Assembler): void => {
      a.i("push", r64.rbx);
      const top = a.bindNew();
      a.i("inc", r32.eax).nop(4).i("jne", top).i("ret");
    };
    expect(refusalOf(loop)).toBe("branchIntoWindow");
  });

  it("a window with another endbr64 in it", () => {
    expect(refusalOf((a) => a.nop(1).i("endbr64").i("ret"))).toBe("branchIntoWindow");
  });

  it("a body in which branches can't be found", () => {
    expect(refusalOf((a) => a.nop(5).bytes([0x06]))).toBe("undecodable");
    expect(refusalOf((a) => a.bytes([0x06, 0, 0, 0, 0, 0]))).toBe("undecodable");
  });

  it("what does not belong into user code, and breakpoints", () => {
    expect(refusalOf((a) => a.i("hlt").nop(5).i("ret"))).toBe("fixed");
    expect(refusalOf((a) => a.i("iretq").nop(5))).toBe("fixed");
    expect(refusalOf((a) => a.i("int3").nop(5).i("ret"))).toBe("fixed");
  });

  it("a call that would return into the window, or that goes into it", () => {
    expect(refusalOf((a) => a.i("call", r64.rax).nop(3).i("ret"))).toBe("returnsIntoWindow");
    expect(
      refusalOf((a) =>
        a
          .nop(2)
          .i("call", codeAddr(at + 1n))
          .i("ret"),
      ),
    ).toBe("branchIntoWindow");
    expect(
      refusalOf((a) =>
        a
          .nop(1)
          .i("call", mem64(r64.rsp, { disp: 8 }))
          .i("ret"),
      ),
    ).toBe("fixed");
  });

  it("a branch over a lock prefix inside of the window", () => {
    const code = (a: Assembler): void => {
      a.bytes([0x74, 0x01]).lock().i("inc", mem64(r64.rdi)).i("ret");
    };
    expect(refusalOf(code)).toBe("branchIntoWindow");
  });

  it("an operand out of reach that has no longer form", () => {
    const push = (a: Assembler): void => {
      a.i("push", mem64(codeAddr(0x402000n)))
        .i("pop", r64.rax)
        .i("ret");
    };
    expect(refusalOf(push)).toBe("moved");
    expect(refusalOf(push, far)).toBe("outOfReach");
  });

  it("nothing of a call to the function itself, which goes where all calls go", () => {
    const code = assemble((a) => a.i("call", at).i("ret"));
    const moved = relocatePrologue(code, at, windowBytes, near);
    expect(moved.ok && hexBytes(moved.value.bytes)).toBe("68 05 10 40 00 e9 f6 ff ef ff");
  });
});
