/** What notes of static probes say of values, read and written again, against readelf's text. */
import { describe, expect, it } from "vitest";
import { parseSdtOperands, type SdtOperand } from "../../src/elf/sdt-operands.ts";
import { hasTool, outputOf } from "../support/compile.ts";

const libraries = "/usr/lib/x86_64-linux-gnu";
const files = [
  ...["libc.so.6", "libm.so.6", "libstdc++.so.6", "ld-linux-x86-64.so.2"].map(
    (name) => `${libraries}/${name}`,
  ),
  "/usr/bin/python3.11",
];

const classic = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];

/** A register's name as AT&T writes it. */
function registerName(number: number, bytes: number, isHighByte: boolean): string {
  const name = classic[number];
  if (isHighByte) return `${"acdb"[number] ?? ""}h`;
  if (name === undefined) {
    return `r${number}${bytes === 8 ? "" : bytes === 4 ? "d" : bytes === 2 ? "w" : "b"}`;
  }
  if (bytes === 1) return number < 4 ? `${name[0] ?? ""}l` : `${name}l`;
  return `${bytes === 8 ? "r" : bytes === 4 ? "e" : ""}${name}`;
}

function write({ bytes, type, place }: SdtOperand): string {
  const size = `${type === "signed" ? "-" : ""}${bytes}${type === "float" ? "f" : ""}@`;
  const name = (number: number | undefined): string =>
    number === undefined ? "" : `%${registerName(number, 8, false)}`;
  switch (place.kind) {
    case "constant":
      return `${size}$${place.value}`;
    case "register":
      return `${size}%${registerName(place.number, bytes, place.isHighByte)}`;
    case "vector":
      return `${size}%xmm${place.number}`;
    case "memory": {
      const { base, index, scale, disp } = place;
      const inner = index === undefined ? name(base) : `${name(base)},${name(index)},${scale}`;
      return `${size}${disp === 0 ? "" : disp}(${inner})`;
    }
    case "unknown":
      return "unknown";
    default:
      return place satisfies never;
  }
}

describe.skipIf(!hasTool("readelf"))("the operands of probes", () => {
  it.each(files)("in %s are read as they stand there", (file) => {
    const notes = outputOf("readelf", ["-nW", file]);
    const texts = [...notes.matchAll(/Arguments: (.*)$/gm)].map(([, text = ""]) => text.trim());
    const written = texts.map((text) => parseSdtOperands(text).map(write).join(" "));
    expect(written).toEqual(texts);
  });

  it("are found in libstdc++ and Python", () => {
    for (const file of files.filter((name) => /stdc|python/.test(name))) {
      expect(outputOf("readelf", ["-nW", file])).toMatch(/Arguments: -?\d@/);
    }
  });

  it.each([
    ["-1@%al 1@%ah 2@%r8w -4@%r15d 8@%spl", "-1@%al 1@%ah 2@%r8w -4@%r15d 8@%rsp"],
    ["8f@%xmm3 4f@-8(%rbp) -8@$-17 8@$0x10", "8f@%xmm3 4f@-8(%rbp) -8@$-17 8@$16"],
    ["-4@8(%rax,%rdx,4) 8@(,%r9,8)", "-4@8(%rax,%rdx,4) 8@(,%r9,8)"],
    ["8@total(%rip) 4@%fs:-8 %rdi 3@%rax 8@(%eax)", "unknown unknown 8@%rdi unknown unknown"],
    ["", ""],
  ])("are read: %s", (text, expected) => {
    expect(parseSdtOperands(text).map(write).join(" ")).toBe(expected);
  });
});
