import { describe, expect, it } from "vitest";
import { readsReturnAddress } from "./return-readers.ts";

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.split(" "), (byte) => Number.parseInt(byte, 16));

describe("functions that look at their return address", () => {
  it.each([
    ["pop rdi (vfork)", "5f b8 3a 00 00 00 0f 05"],
    ["mov rax, [rsp] (setjmp)", "48 89 1f 48 8b 04 24 c3"],
    ["push rbx; mov rdx, [rsp+8]", "53 48 8b 54 24 08 5b c3"],
    ["sub rsp, 24; mov rax, [rsp+24]", "48 83 ec 18 48 8b 44 24 18 c3"],
    ["push rbp; mov rbp, rsp; mov rax, [rbp+8]", "55 48 89 e5 48 8b 45 08 5d c3"],
    ["behind a branch that is not taken", "74 00 48 8b 04 24 c3"],
    ["push [rsp]", "ff 34 24 c3"],
  ])("are found: %s", (_, code) => {
    expect(readsReturnAddress(bytes(code))).toBe(true);
  });

  it.each([
    ["push rbx; mov rax, [rsp]; pop rbx", "53 48 8b 04 24 5b c3"],
    ["mov rax, [rsp+8]: an argument", "48 8b 44 24 08 c3"],
    ["mov eax, [rsp]: four bytes", "8b 04 24 c3"],
    ["mov rax, [rsp+rax]", "48 8b 04 04 c3"],
    ["mov rax, fs:[rsp]", "64 48 8b 04 24 c3"],
    ["jmp; mov rax, [rsp]", "eb 00 48 8b 04 24 c3"],
    ["and rsp, -16; mov rax, [rsp]", "48 83 e4 f0 48 8b 04 24 c3"],
    ["push rbp; mov rbp, rsp; mov rax, [rbp-8]", "55 48 89 e5 48 8b 45 f8 5d c3"],
    ["nothing that can be decoded", "06"],
  ])("are told from others: %s", (_, code) => {
    expect(readsReturnAddress(bytes(code))).toBe(false);
  });
});
