/** `sites` of running processes: addresses and states as they stand there. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, unlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { hexBytes, pid as toPid } from "../../src/base/brand.ts";
import { PatchbayError } from "../../src/base/error.ts";
import { ProcessMemory } from "../../src/os/proc.ts";
import { describeAnswer } from "../../src/session/describe-answer.ts";
import { explainFunction } from "../../src/session/explain-function.ts";
import { listSites, type SiteRow, siteTarget } from "../../src/session/site-listing.ts";
import { fixture, hasTool, linesOf, outputOf, scratchFolder } from "../support/compile.ts";

const sites = "-fpatchable-function-entry=5";

/** The error that `work` fails with. */
function errorOf(work: () => unknown): PatchbayError {
  try {
    work();
  } catch (error) {
    if (error instanceof PatchbayError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

/** The program `waits` and its library, compiled and running. */
async function startWaiting(
  linker = "bfd",
): Promise<{ pid: number; program: string; library: string }> {
  const folder = scratchFolder();
  const library = join(folder, "liblibrary.so");
  const program = join(folder, "waits");
  const flags = ["-O1", "-g", sites, `-fuse-ld=${linker}`];
  outputOf("gcc", [...flags, "-shared", "-fPIC", fixture("library.c"), "-o", library]);
  const link = ["-L", folder, "-llibrary", `-Wl,-rpath,${folder}`];
  outputOf("gcc", [...flags, fixture("waits.c"), ...link, "-o", program]);
  const child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(async () => {
    child.stdin.end();
    if (child.exitCode === null) await once(child, "exit");
  });
  await once(child.stdout, "data");
  if (child.pid === undefined) throw new Error("the program did not start");
  return { pid: child.pid, program, library };
}

/** Addresses in the process by what nm and /proc say. */
function addrOf(pid: number, file: string, name: string): bigint {
  const row = linesOf(outputOf("nm", [file])).find((line) => line.endsWith(` ${name}`));
  const map = linesOf(readFileSync(`/proc/${pid}/maps`, "utf8")).find((line) =>
    line.includes(file),
  );
  return BigInt(`0x${row?.split(" ")[0]}`) + BigInt(`0x${map?.split("-")[0]}`);
}

const rowOf = (rows: readonly SiteRow[], name: string): SiteRow => {
  const row = rows.find((one) => one.name === name);
  if (row === undefined) throw new Error(`no row for ${name}`);
  return row;
};

describe.skipIf(!["gcc", "nm"].every(hasTool))("the sites of a process", () => {
  // lld begins segments inside pages, so that a mapping begins before its segment.
  const linkers = ["bfd", "lld"].filter((linker) => hasTool(`ld.${linker}`));
  it.each(linkers)("are those of program and library, linked by %s", async (linker) => {
    const { pid, program, library } = await startWaiting(linker);
    const listing = listSites(pid);
    const places: readonly (readonly [string, string])[] = [
      [program, "main"],
      [program, "never_called"],
      [library, "library_function"],
      [library, "library_other"],
    ];
    expect(listing.sites.length).toBe(places.length);
    for (const [file, name] of places) {
      const row = rowOf(listing.sites, name);
      expect(row).toMatchObject({ module: file, address: addrOf(pid, file, name) });
      expect(row.state).toEqual({ kind: "compiled" });
      expect(basename(row.file ?? "")).toBe(file === program ? "waits.c" : "library.c");
    }
  });

  it("are told with what stands there now", async () => {
    const { pid } = await startWaiting();
    const at = rowOf(listSites(pid).sites, "never_called").address;
    using memory = new ProcessMemory(toPid(pid));
    const stateAfter = (...bytes: number[]): SiteRow["state"] => {
      memory.write(at, Uint8Array.from(bytes));
      return rowOf(listSites(pid, { include: ["never_*"] }).sites, "never_called").state;
    };
    expect(stateAfter(0xe8, 0x10, 0, 0, 0)).toEqual({ kind: "call", target: at + 0x15n });
    expect(stateAfter(0xe9, 0xfb, 0xff, 0xff, 0xff)).toEqual({ kind: "jump", target: at });
    expect(stateAfter(0x0f, 0x1f, 0x44, 0, 0)).toEqual({ kind: "idle" });
    const foreign = [0xcc, 1, 2, 3, 4];
    expect(stateAfter(...foreign)).toEqual({ kind: "unknown", bytes: Uint8Array.from(foreign) });
    const [answer] = explainFunction(pid, "never_called");
    expect(answer).toMatchObject({ kind: "refused" });
    expect(answer === undefined ? "" : describeAnswer(answer)).toContain(
      hexBytes(Uint8Array.from(foreign)),
    );
    expect(stateAfter(0x90, 0x90, 0x90, 0x90, 0x90)).toEqual({ kind: "compiled" });
  });

  it("are told of a program that was deleted, but not of a library that was replaced", async () => {
    const { pid, program, library } = await startWaiting();
    unlinkSync(program);
    unlinkSync(library);
    outputOf("gcc", ["-O0", sites, "-shared", "-fPIC", fixture("library.c"), "-o", library]);
    const listing = listSites(pid);
    expect(rowOf(listing.sites, "main").module).toBe(program);
    const names = listing.sites.map((row) => row.name);
    // Root can open what was mapped all the same; nobody may take the new file for it.
    if (names.includes("library_other")) {
      expect(rowOf(listing.sites, "library_other").state).toEqual({ kind: "compiled" });
    } else {
      expect(listing.skipped.map((one) => one.path)).toContainEqual(
        expect.stringContaining(library),
      );
    }
  });

  it("are asked for by a pid, unless a file of that name is there", async () => {
    expect(siteTarget("4711")).toBe(4711);
    expect(siteTarget("./4711")).toBe("./4711");
    expect(siteTarget("0x12")).toBe("0x12");
    expect(errorOf(() => listSites(2 ** 22 + 1)).code).toBe("no-such-process");
  });
});

describe.skipIf(!hasTool("gcc"))("why a function can't be traced", () => {
  it("is said for each reason there is", () => {
    const folder = scratchFolder();
    const program = join(folder, "program");
    outputOf("gcc", ["-O2", "-g", sites, fixture("sites.c"), "-o", program]);
    const kindOf = (name: string, include: readonly string[] = []): string | undefined =>
      explainFunction(program, name, { include })[0]?.kind;
    expect(kindOf("leaf")).toBe("traceable");
    expect(kindOf("leaf", ["main"])).toBe("filtered");
    expect(kindOf("squared")).toBe("inlined");
    expect(kindOf("short_site")).toBe("refused");
    expect(kindOf("excluded")).toBe("no-site");
    expect(kindOf("_start")).toBe("no-site");
    expect(kindOf("printf")).toBe("imported");
    expect(explainFunction(program, "leef")).toEqual([
      { kind: "not-found", near: ["leaf"], why: "there is no function of that name" },
    ]);
  });

  it("names the compiler that left the option out", () => {
    const program = join(scratchFolder(), "program");
    outputOf("gcc", ["-O2", "-g", fixture("sites.c"), "-o", program]);
    const [answer] = explainFunction(program, "leaf");
    const text = answer === undefined ? "" : describeAnswer(answer);
    expect(text).toMatch(/sites\.c:\d+: can't be traced: it was compiled without sites, by GNU C/);
    expect(text).toContain("-fpatchable-function-entry=5");
    const error = errorOf(() => listSites(program));
    expect(error.code).toBe("no-sites");
    expect(error.message).toContain("-fpatchable-function-entry=5");
  });

  it("says what -pg alone lacks", () => {
    const program = join(scratchFolder(), "program");
    outputOf("gcc", ["-O2", "-pg", "-mfentry", fixture("sites.c"), "-o", program]);
    // Its own short entry is in the table, so that there is something to refuse.
    expect(errorOf(() => listSites(program)).message).toContain("fewer no-ops than a branch needs");
    const other = join(scratchFolder(), "program");
    outputOf("gcc", [
      "-O2",
      "-pg",
      "-mfentry",
      fixture("library.c"),
      "-shared",
      "-fPIC",
      "-o",
      other,
    ]);
    expect(errorOf(() => listSites(other)).message).toContain("-mrecord-mcount");
  });

  it("suggests names for a glob that matches nothing", () => {
    const program = join(scratchFolder(), "program");
    outputOf("gcc", ["-O2", sites, fixture("sites.c"), "-o", program]);
    const error = errorOf(() => listSites(program, { include: ["lief"] }));
    expect(error).toMatchObject({ code: "no-match", hint: "did you mean leaf?" });
    const { unmatched } = listSites(program, { include: ["main", "lief"] });
    expect(unmatched).toEqual([{ glob: "lief", near: ["leaf"] }]);
  });
});
