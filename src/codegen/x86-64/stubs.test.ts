import { expect, it } from "vitest";
import { codeAddr } from "../../base/brand.ts";
import { arrivalStub, resultStub } from "./stubs.ts";

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

it("the way to a program's entry leads through a system call", () => {
  // xor %edi,%edi; mov $12,%eax; syscall; movabs $0x555555554a10,%r11; jmp *%r11
  const expected = "31ffb80c0000000f0549bb104a55555555000041ffe3";
  expect(hexOf(arrivalStub(codeAddr(0x5555_5555_4a10n)))).toBe(expected);
});

it("a call leaves its result below the stack pointer", () => {
  // push %rax; call *%r11; mov %rax,(%rsp); pop %rcx; ret
  expect(hexOf(resultStub())).toBe("5041ffd34889042459c3");
});
