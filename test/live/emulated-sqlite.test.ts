/** SQLite for AArch64 and RISC-V, all of its functions traced: it answers as it does untraced. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { compile, patchbay, run, tracePath } from "./harness.ts";
import { countTrace } from "./trace-counts.ts";

/** Compiling SQLite takes half a minute of a whole processor. */
const patienceMs = 900_000;

const packageFile = createRequire(import.meta.url).resolve("better-sqlite3/package.json");
const sqlite = join(dirname(packageFile), "deps/sqlite3");
const rounds = ["1", "1"];

describe.each([
  ["aarch64", "2"],
  ["riscv64", "4"],
])("SQLite for %s", (machine, entry) => {
  it("has the same results, and no event is lost", { timeout: patienceMs }, async () => {
    const program = compile("sqlite.c", {
      compiler: `${machine}-linux-gnu-gcc`,
      flags: ["-O0", `-fpatchable-function-entry=${entry}`, `-I${sqlite}`],
      more: [join(sqlite, "sqlite3.c"), "-lm"],
    });
    const untraced = run(`qemu-${machine}`, [
      ...["-L", `/usr/${machine}-linux-gnu`, program, ...rounds],
    ]);
    const checksum = /checksum (\w+)/.exec(untraced)?.[1];
    expect(checksum).toBeDefined();
    const directory = tracePath();
    const filter = ["-F", "sqlite3[VBS]*", "-N", "*[mM]utex*"];
    const command = ["--qemu", "-q", ...filter, "--", program, ...rounds];
    const { status, stdout } = await patchbay("record", "-o", directory, ...command);
    expect(status).toBe(0);
    expect(/checksum (\w+)/.exec(stdout)?.[1]).toBe(checksum);
    const counts = countTrace(directory);
    expect(counts).toMatchObject({ lost: 0, backwards: 0, damages: 0, isEnded: true });
    expect(counts.functions.get("sqlite3VdbeExec")?.entries).toBeGreaterThan(1000);
    expect(counts.functions.size).toBeGreaterThan(100);
  });
});
