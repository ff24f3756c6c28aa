/** Symbols, addresses, build-ids and debug files of compiled programs, against binutils. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileOffset, linkAddr } from "../../src/base/brand.ts";
import { findFileOffset, findLinkAddr, findSection, parseElf } from "../../src/elf/elf-file.ts";
import { functionStarts } from "../../src/elf/function-starts.ts";
import { openProgramFile } from "../../src/session/program-file.ts";
import { findFunction, readSymbolTable, symbolName } from "../../src/symbols/symbol-table.ts";
import { compile, hasTool, linesOf, outputOf } from "../support/compile.ts";

const tools = ["gcc", "g++", "nm", "readelf", "objcopy", "strip", "xz"];
const links = ["-no-pie", "-pie", "-static", "-static-pie", "-shared -fPIC"];

type NmRow = { readonly addr: number; readonly size: number; readonly name: string };

/** Functions as nm lists them. */
function nmFunctions(path: string, ...flags: readonly string[]): NmRow[] {
  return linesOf(outputOf("nm", ["-S", ...flags, path])).flatMap((line) => {
    const match = /^([0-9a-f]+) ([0-9a-f]+) [tTWi] (.*)$/.exec(line);
    // A weak object that glibc's probes define: nm does not tell those from functions.
    if (match === null || line.endsWith(" _.stapsdt.base")) return [];
    const [, addr = "", size = "", name = ""] = match;
    return { addr: Number.parseInt(addr, 16), size: Number.parseInt(size, 16), name };
  });
}

describe.skipIf(!tools.every(hasTool))("a compiled program", () => {
  for (const link of links) {
    it(`has nm's functions at nm's addresses: ${link}`, () => {
      const path = compile("g++", ["-O1", ...link.split(" ")], "names.cpp");
      const table = readSymbolTable(parseElf(readFileSync(path)));
      const ours = new Set<string>();
      for (let i = 0; i < table.count; i++) {
        ours.add(`${table.addrs[i]} ${table.sizes[i]} ${symbolName(table, i)}`);
      }
      const theirs = nmFunctions(path).map(
        ({ addr, size, name }) => `${addr} ${size} ${name.replace(/@.*/, "")}`,
      );
      expect(theirs.length).toBeGreaterThan(4);
      expect(theirs.filter((row) => !ours.has(row))).toEqual([]);
    });

    it(`is in memory where readelf says: ${link}`, () => {
      const path = compile("gcc", ["-O1", ...link.split(" ")], "sites.c");
      const elf = parseElf(readFileSync(path));
      const sections = linesOf(outputOf("readelf", ["-SW", path])).flatMap((line) => {
        const match = /^ *\[ *\d+\] (\S+) +(\S+) +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)/.exec(line);
        return match === null ? [] : [match.slice(1)];
      });
      expect(sections.length).toBe(elf.sections.length - 1);
      for (const [name = "", type, addr = "", offset = "", size = ""] of sections) {
        const section = elf.sections.find((one) => one.name === name);
        expect(section).toMatchObject({
          addr: Number.parseInt(addr, 16),
          offset: Number.parseInt(offset, 16),
          size: Number.parseInt(size, 16),
        });
        const at = linkAddr(BigInt(`0x${addr}`));
        if (type !== "PROGBITS" || at === 0n || section === undefined) continue;
        expect(findFileOffset(elf, at)).toBe(section.offset);
        expect(findLinkAddr(elf, fileOffset(section.offset))).toBe(at);
      }
    });

    it(`begins its functions where frame descriptions do: ${link}`, () => {
      const path = compile("gcc", ["-O2", ...link.split(" ")], "sites.c");
      const theirs = outputOf("readelf", ["-wf", path]).matchAll(/FDE .* pc=([0-9a-f]+)\.\./g);
      const starts = Array.from(theirs, ([, pc = ""]) => Number.parseInt(pc, 16));
      const ours = [...functionStarts(parseElf(readFileSync(path)))];
      expect(ours).toEqual(starts.sort((a, b) => a - b));
      // In a program whose linker made no search table too.
      const bare = readFileSync(path);
      const elf = parseElf(bare);
      const segments = elf.segments.filter((one) => one.type !== 0x6474e550);
      expect([...functionStarts({ ...elf, segments })]).toEqual(ours);
    });
  }

  it("has its dynamic symbols without section headers", () => {
    const path = compile("gcc", ["-O1", "-shared", "-fPIC"], "sites.c");
    const theirs = nmFunctions(path, "-D").map((row) => row.name.replace(/@.*/, ""));
    const bytes = readFileSync(path);
    for (const hash of ["gnu", "sysv"]) {
      const built = compile("gcc", ["-shared", "-fPIC", `-Wl,--hash-style=${hash}`], "sites.c");
      const file = hash === "gnu" ? bytes : readFileSync(built);
      // As sstrip leaves it: e_shoff, e_shnum and e_shstrndx are 0.
      file.writeBigUInt64LE(0n, 40);
      file.writeUInt32LE(0, 60);
      const elf = parseElf(file);
      expect(elf.sections).toEqual([]);
      const table = readSymbolTable(elf);
      const ours = Array.from({ length: table.count }, (_, i) => symbolName(table, i));
      expect(ours).toEqual(expect.arrayContaining(theirs));
    }
  });

  it.each(["", "-static", "-static-pie"])("jumps where nm says: %s", (link) => {
    const path = compile(
      "gcc",
      ["-O1", "-w", ...link.split(" ").filter((word) => word !== "")],
      "live/jump-places.c",
    );
    const names = new Set(["longjmp", "siglongjmp", "_longjmp", "__longjmp_chk"]);
    const isOne = ({ name }: NmRow): boolean => names.has(name.replace(/@.*/, ""));
    const program = openProgramFile(path);
    expect(program.importsJumps()).toBe(link === "");
    const [, libc = ""] =
      link === "" ? (/=> (\S*libc\.so\.6) /.exec(outputOf("ldd", [path])) ?? []) : [];
    const file = link === "" ? libc : path;
    const { sites, mangled } = openProgramFile(file).jumps();
    const places = nmFunctions(file, ...(link === "" ? ["-D"] : [])).filter(isOne);
    expect(mangled).toBe(true);
    expect(new Set(sites.map(({ functionAddr }) => Number(functionAddr)))).toEqual(
      new Set(places.map(({ addr }) => addr)),
    );
  });

  it("tells its build-id", () => {
    const path = compile("gcc", ["-Wl,--build-id=sha1"], "sites.c");
    const [, id] = /Build ID: ([0-9a-f]+)/.exec(outputOf("readelf", ["-n", path])) ?? [];
    expect(openProgramFile(path).buildId).toBe(id);
    const none = compile("gcc", ["-Wl,--build-id=none"], "sites.c");
    expect(openProgramFile(none).buildId).toBeUndefined();
  });
});

describe.skipIf(!tools.every(hasTool))("a separate debug file", () => {
  /** A stripped program, and its debug file still beside it as `program.debug`. */
  function split(...flags: readonly string[]): { path: string; debug: string; main: bigint } {
    const path = compile("gcc", ["-g", "-O1", ...flags], "sites.c");
    const main = BigInt(nmFunctions(path).find((row) => row.name === "main")?.addr ?? 0);
    const debug = `${path}.debug`;
    outputOf("objcopy", ["--only-keep-debug", path, debug]);
    outputOf("strip", [path]);
    return { path, debug, main };
  }

  it("is found by build-id, and gives names and lines", () => {
    const { path, debug, main } = split();
    const debugRoot = join(dirname(path), "root");
    const id = openProgramFile(path).buildId ?? "";
    const place = join(debugRoot, ".build-id", id.slice(0, 2), `${id.slice(2)}.debug`);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, readFileSync(debug));
    const program = openProgramFile(path, { debugRoot });
    expect(program.debugPath()).toBe(place);
    expect(findFunction(program.symbols(), linkAddr(main))?.name).toBe("main");
    expect(program.sourceLine(linkAddr(main))?.file).toMatch(/sites\.c$/);
  });

  it("is found by debug link, unless its checksum is another", () => {
    const { path, debug, main } = split("-Wl,--build-id=none");
    outputOf("objcopy", [`--add-gnu-debuglink=${debug}`, path]);
    expect(openProgramFile(path).debugPath()).toBe(debug);
    expect(findFunction(openProgramFile(path).symbols(), linkAddr(main))?.name).toBe("main");
    writeFileSync(debug, Buffer.concat([readFileSync(debug), Buffer.of(0)]));
    expect(openProgramFile(path).debugPath()).toBeUndefined();
    expect(openProgramFile(path).symbols().count).toBe(0);
  });

  it("is not taken when its build-id is another", () => {
    const { path } = split();
    const other = split("-DOTHER", "-O2");
    const debugRoot = join(dirname(path), "root");
    const id = openProgramFile(path).buildId ?? "";
    const place = join(debugRoot, ".build-id", id.slice(0, 2), `${id.slice(2)}.debug`);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, readFileSync(other.debug));
    expect(openProgramFile(path, { debugRoot }).debugPath()).toBeUndefined();
  });

  it("can be a compressed symbol table in the program itself", () => {
    const { path, debug, main } = split();
    const mini = `${debug}.mini`;
    outputOf("objcopy", ["-S", "--remove-section", ".comment", "--keep-symbol=main", debug, mini]);
    outputOf("xz", [mini]);
    outputOf("objcopy", ["--add-section", `.gnu_debugdata=${mini}.xz`, path]);
    const symbols = openProgramFile(path).symbols();
    expect(findFunction(symbols, linkAddr(main))?.name).toBe("main");
  });

  it("has no code of its own to be mistaken for the program's", () => {
    const { debug } = split();
    const elf = parseElf(readFileSync(debug), { debugOnly: true });
    expect(findSection(elf, ".text")?.type).toBe(8);
    expect([...functionStarts(elf)]).toEqual([]);
  });
});
