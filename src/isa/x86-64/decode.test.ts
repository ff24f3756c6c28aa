import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeAddr } from "../../base/brand.ts";
import { type Decoded, decode, relocationClass } from "./decode.ts";
import { decodeInto, Instruction } from "./decode-into.ts";
import { format } from "./format.ts";
import { nops } from "./table.ts";

const at = codeAddr(0x401000n);
const bytesOf = (text: string): Uint8Array =>
  new Uint8Array(text.split(" ").map((byte) => Number.parseInt(byte, 16)));
const read = (text: string): Decoded => {
  const decoded = decode(bytesOf(text), 0, at);
  if (decoded === undefined) throw new Error(`${text} is no instruction`);
  return decoded;
};
const textOf = (text: string): string => format(read(text));

describe("decoding", () => {
  it("tells where control goes", () => {
    const flowOf = (text: string): string => read(text).flow;
    expect(flowOf("90")).toBe("next");
    expect(flowOf("eb 10")).toBe("jump");
    expect(flowOf("0f 84 00 01 00 00")).toBe("branch");
    expect(flowOf("e3 10")).toBe("branch");
    expect(flowOf("e8 00 00 00 00")).toBe("call");
    expect(flowOf("ff d0")).toBe("indirectCall");
    expect(flowOf("ff 25 00 00 00 00")).toBe("indirectJump");
    expect(flowOf("f3 c3")).toBe("return");
    expect(flowOf("48 cf")).toBe("far");
    expect(flowOf("cc")).toBe("trap");
    expect(flowOf("0f 05")).toBe("system");
  });

  it("gives targets from the end of the instruction, sign and all", () => {
    expect(read("eb fe").branch).toEqual({ offset: 1, sizeBytes: 1, target: 0x401000n });
    expect(read("e8 fb ff ff ff").branch?.target).toBe(0x401000n);
    const store = read("c7 05 10 00 00 00 01 00 00 00");
    expect(store.rip).toEqual({ offset: 2, sizeBytes: 4, target: 0x40101an });
  });

  it("classifies what a move depends on", () => {
    const classOf = (text: string): string => relocationClass(read(text));
    expect(classOf("55")).toBe("independent");
    expect(classOf("48 8b 05 00 00 00 00")).toBe("ripRelative");
    expect(classOf("ff 15 00 00 00 00")).toBe("indirectCall");
    expect(classOf("74 00")).toBe("directBranch");
    expect(classOf("f4")).toBe("fixed");
    expect(classOf("67 48 8b 05 00 00 00 00")).toBe("fixed");
  });

  it("refuses near branches with 66, on which processors differ, but not with REX.W", () => {
    expect(decode(bytesOf("66 e8 00 00 00 00 90"), 0, at)).toBeUndefined();
    expect(decode(bytesOf("66 0f 84 00 00 00 00"), 0, at)).toBeUndefined();
    expect(textOf("66 66 48 e8 00 00 00 00")).toBe("data16 call 0x401008");
  });

  it("finds nothing in the first bytes of an instruction, whatever it is", () => {
    const scratch = new Instruction();
    const bytes15 = fc.uint8Array({ minLength: 15, maxLength: 15 });
    fc.assert(
      fc.property(bytes15, (bytes) => {
        const length = decodeInto(bytes, 0, scratch);
        for (let cut = 0; cut < length; cut++) {
          expect(decodeInto(bytes.subarray(0, cut), 0, scratch)).toBe(0);
        }
        if (length > 0) expect(decodeInto(bytes.subarray(0, length), 0, scratch)).toBe(length);
      }),
      { numRuns: 2_000 },
    );
  });

  it("takes 15 bytes and not 16", () => {
    const padded = (count: number): Uint8Array => {
      const bytes = new Uint8Array(count + 1).fill(0x2e);
      bytes[count] = 0x90;
      return bytes;
    };
    expect(decodeInto(padded(14), 0, new Instruction())).toBe(15);
    expect(decodeInto(padded(15), 0, new Instruction())).toBe(0);
  });
});

describe("text", () => {
  it("shows every NOP as a NOP", () => {
    for (const nop of nops.slice(1)) {
      const decoded = decode(new Uint8Array(nop), 0, at);
      expect(decoded?.length).toBe(nop.length);
      expect(decoded && format(decoded)).toMatch(/^(data16 )?nop/);
    }
  });

  it("shows what sites and trampolines are made of", () => {
    expect(textOf("f3 0f 1e fa")).toBe("endbr64");
    expect(textOf("e9 fb ff ff ff")).toBe("jmp 0x401000");
    expect(textOf("4c 8b 14 c1")).toBe("mov r10, qword ptr [rcx + rax*8]");
    expect(textOf("f0 48 0f b1 0a")).toBe("lock cmpxchg qword ptr [rdx], rcx");
    expect(textOf("64 48 8b 04 25 d0 02 00 00")).toBe("mov rax, qword ptr fs:[0x2d0]");
    expect(textOf("49 90")).toBe(".byte 0x49, 0x90");
    expect(textOf("62 f1 7c 48 58 c1")).toBe(".byte 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1");
  });
});
