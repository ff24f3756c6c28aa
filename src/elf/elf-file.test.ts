import { describe, expect, it } from "vitest";
import { baseAddr, buildElf, buildIdNote, textAddr } from "../../test/support/elf-builder.ts";
import { ensure } from "../base/assert.ts";
import { fileOffset, linkAddr } from "../base/brand.ts";
import { FormatError } from "../base/cursor.ts";
import { crc32 } from "./crc32.ts";
import {
  bytesAtAddr,
  ElfError,
  type ElfFile,
  findFileOffset,
  findLinkAddr,
  findLoadBias,
  findSection,
  parseElf,
  sectionBytes,
} from "./elf-file.ts";
import { findBuildId, findDebugLink } from "./notes.ts";

/** The error that parsing `bytes` causes. */
function errorOf(bytes: Uint8Array): FormatError {
  try {
    parseElf(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("no error");
}

/** A file with `change` made to its header. */
function changed(change: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const { bytes } = buildElf();
  change(bytes, new DataView(bytes.buffer));
  return bytes;
}

describe("parseElf", () => {
  it("reads segments, sections and their contents", () => {
    const text = Uint8Array.of(0x90, 0xc3);
    const { bytes, addrOf } = buildElf({
      text,
      sections: [{ name: ".rodata", flags: 2, bytes: Uint8Array.of(1, 2, 3) }],
    });
    const elf = parseElf(bytes);
    expect(elf).toMatchObject({ machine: "x86-64", kind: "fixed", entry: BigInt(textAddr) });
    expect(elf.sections.map((section) => section.name)).toEqual([
      "",
      ".text",
      ".rodata",
      ".shstrtab",
    ]);
    const section = ensure(findSection(elf, ".rodata"), "it is there");
    expect(section.addr).toBe(addrOf(".rodata"));
    expect(sectionBytes(elf, section)).toEqual(Uint8Array.of(1, 2, 3));
    expect(bytesAtAddr(elf, textAddr, 2)).toEqual(text);
  });

  it("tells the ways apart in which a file is not one for it", () => {
    const expectCode = (bytes: Uint8Array, code: string, text: RegExp): void => {
      const error = errorOf(bytes);
      expect(error).toBeInstanceOf(ElfError);
      expect(error).toMatchObject({ code });
      expect(error.message).toMatch(text);
    };
    expectCode(new Uint8Array(0), "not-elf", /empty/);
    expectCode(new TextEncoder().encode("#!/bin/sh\n"), "not-elf", /not an ELF/);
    expectCode(
      changed((bytes) => bytes.set([1], 4)),
      "wrong-architecture",
      /32-bit/,
    );
    expectCode(
      changed((bytes) => bytes.set([2], 5)),
      "wrong-architecture",
      /big-endian/,
    );
    const machine = changed((_, view) => view.setUint16(18, 8, true));
    expectCode(machine, "wrong-architecture", /machine 8/);
    expectCode(
      changed((_, view) => view.setUint16(16, 1, true)),
      "unsupported",
      /object file/,
    );
    expectCode(
      changed((_, view) => view.setUint16(16, 4, true)),
      "unsupported",
      /core dump/,
    );
  });

  for (const bare of [false, true]) {
    it(`refuses every prefix of a file ${bare ? "without" : "with"} section headers`, () => {
      const { bytes } = buildElf({ bare, symbols: [{ name: "f", addr: textAddr }] });
      parseElf(bytes);
      for (let length = 0; length < bytes.length; length++) {
        const { message } = errorOf(bytes.subarray(0, length));
        expect(message).toMatch(length < 4 ? /not an ELF|empty/ : /truncated/);
        expect(message).not.toContain("\n");
      }
    });
  }

  it("reads section counts that do not fit the header", () => {
    const bytes = changed((_, view) => {
      const table = Number(view.getBigUint64(40, true));
      const count = view.getUint16(60, true);
      const names = view.getUint16(62, true);
      view.setUint16(60, 0, true);
      view.setUint16(62, 0xffff, true);
      view.setBigUint64(table + 32, BigInt(count), true);
      view.setUint32(table + 40, names, true);
    });
    expect(findSection(parseElf(bytes), ".text")?.addr).toBe(textAddr);
  });

  it("refuses sizes that would wrap around", () => {
    const bytes = changed((_, view) => view.setBigUint64(64 + 32, 2n ** 64n - 1n, true));
    expect(errorOf(bytes).message).toMatch(/too large/);
  });
});

describe("addresses and file offsets", () => {
  const elf = parseElf(buildElf().bytes);

  it("turns one into the other where the file is mapped", () => {
    const addr = linkAddr(BigInt(textAddr + 3));
    const offset = fileOffset(textAddr - baseAddr + 3);
    expect(findFileOffset(elf, addr)).toBe(offset);
    expect(findLinkAddr(elf, offset)).toBe(addr);
    expect(findFileOffset(elf, linkAddr(1n))).toBeUndefined();
    expect(findLinkAddr(elf, fileOffset(2 ** 40))).toBeUndefined();
  });

  it("finds the load bias of a segment that begins inside a page", () => {
    // As lld lays it out: code from 0x7f0 of the file, mapped a page further on.
    const segments = [
      { type: 1, flags: 4, offset: 0, addr: 0, fileSize: 0x7f0, memSize: 0x7f0 },
      { type: 1, flags: 5, offset: 0x7f0, addr: 0x17f0, fileSize: 0x900, memSize: 0x900 },
    ];
    const unaligned: ElfFile = { ...elf, segments };
    expect(findLoadBias(unaligned, 0x5555_0000_1000n, 0)).toBe(0x5555_0000_0000n);
    expect(findLoadBias(unaligned, 0x5555_0000_2000n, 0x1000)).toBe(0x5555_0000_0000n);
    expect(findLoadBias(unaligned, 0x5555_0000_2000n, 0x3000)).toBeUndefined();
  });
});

describe("notes", () => {
  it("finds the build-id", () => {
    const { bytes } = buildElf({ notes: buildIdNote([0xde, 0xad, 0x00, 0x0f, 0x01]) });
    expect(findBuildId(parseElf(bytes))).toBe("dead000f01");
    expect(findBuildId(parseElf(buildElf().bytes))).toBeUndefined();
  });

  it("reads the name and the checksum of a debug link", () => {
    const link = Uint8Array.of(...new TextEncoder().encode("x.debug\0"), 0x78, 0x56, 0x34, 0x12);
    const { bytes } = buildElf({ sections: [{ name: ".gnu_debuglink", bytes: link }] });
    expect(findDebugLink(parseElf(bytes))).toEqual({ name: "x.debug", crc: 0x12345678 });
  });
});

it("computes the CRC-32 of the standard's check string", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
});
