/**
 * Fixes that are made from two versions of a source file: they change what differs, use the running
 * program's statics, and are refused where the change can't be made while it runs.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { api, isSoak, patchbay, run, Target, tempDir } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../fixtures/live/${name}`, import.meta.url)), "utf8");
const flags = ["-O2"];

/** Two versions of shop.c and the program that was built of the first. */
function makeShop(change: (source: string) => string) {
  const folder = tempDir("shop");
  const [old, next, program] = ["old.c", "new.c", "shop"].map((name) => join(folder, name));
  const source = fixture("shop.c");
  writeFileSync(old ?? "", source);
  writeFileSync(next ?? "", change(source));
  run("gcc", [...flags, "-g", old ?? "", "-o", program ?? ""]);
  return { old: old ?? "", next: next ?? "", program: program ?? "", fix: join(folder, "fix.so") };
}

const fixed = (source: string): string => source.replace("sold += 2", "sold += 1");

describe("build-fix", () => {
  it("makes a fix that goes on with the program's statics", async () => {
    const { old, next, program, fix } = makeShop(fixed);
    const built = await patchbay(
      ...["build-fix", old, next, "-o", fix, "--for", program, "--", ...flags],
    );
    expect(built.stderr).toMatch(/fix\.so replaces sell\n$/);
    expect(built.status).toBe(0);
    const target = await Target.start(program);
    const ask = async () => {
      target.send("sell");
      return target.numbers();
    };
    // value: taken, calls, and the length of a name.
    expect(await ask()).toEqual({ value: 7, sold: 2, stock: 99, price: 31 });
    await using patching = await api.patchProcess(target.pid, fix);
    expect(await patching.done).toMatchObject({ functions: ["sell"], result: "patched" });
    expect(await ask()).toEqual({ value: 8, sold: 3, stock: 98, price: 52 });
    expect(await ask()).toEqual({ value: 10, sold: 4, stock: 97, price: 83 });
    await using reverting = await api.revertPatch(target.pid);
    const reverted = await reverting.done;
    expect(reverted).toMatchObject({ result: "reverted" });
    expect(reverted.left).toBeUndefined();
    expect(await ask()).toEqual({ value: 13, sold: 6, stock: 96, price: 31 });
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("sees a change of a function's own constants, and takes them along", async () => {
    const { old, next, program, fix } = makeShop((source) =>
      source.replace("3, 5, 8", "3, 6, 8").replace('"kg"', '"kilo"'),
    );
    expect((await api.buildFix(old, next, { flags, output: fix })).changed).toEqual(["price"]);
    const target = await Target.start(program);
    await using patching = await api.patchProcess(target.pid, fix);
    await patching.done;
    const prices: (number | undefined)[] = [];
    for (let which = 0; which < 3; which++) {
      target.send("sell");
      prices.push((await target.numbers())["price"]);
    }
    expect(prices).toEqual([31, 64, 83]);
  });

  it("is refused by another build of the program", async () => {
    const { old, next, program, fix } = makeShop(fixed);
    await api.buildFix(old, next, { flags, output: fix, program });
    run("gcc", ["-O1", "-g", old, "-o", program]);
    const target = await Target.start(program);
    await expect(api.patchProcess(target.pid, fix)).rejects.toThrow(/made for build-id/);
  });

  it.each([
    ["nothing", (s: string) => s, /no function's code differs/],
    [
      "a variable's size",
      (s: string) => s.replace("int stock =", "long stock ="),
      /stock has 8 by/,
    ],
    ["a variable's value", (s: string) => s.replace("= 100", "= 90"), /stock begins with other/],
    [
      "a function's variable",
      (s: string) => s.replace("static int taken;", "static int taken = 3;"),
      /static data changes: taken\.\d begins with other contents/,
    ],
    [
      "a structure",
      (s: string) => s.replace("int id; char name[16];", "short id, more; char name[16];"),
      /struct item is laid out otherwise: .*more short at 2/,
    ],
    ["what is no C", (s: string) => s.replace("sold += 2", "sold += "), /gcc failed: .*error/],
  ])("refuses a change of %s", async (_, change, message) => {
    const { old, next, fix } = makeShop(change);
    await expect(api.buildFix(old, next, { flags, output: fix })).rejects.toThrow(message);
  });
});

/** What roundFunc() of SQLite was until 3.34, on as many lines. */
const oldRound = (source: string): string =>
  source.replace(
    "if( r<-4503599627370496.0 || r>+4503599627370496.0 ){\n" +
      "    /* The value has no fractional part so there is nothing to round */\n",
    "if( n==0 && r>=0 && r<LARGEST_INT64-1 ){\n    r = (double)((sqlite_int64)(r+0.5));\n",
  );

describe.runIf(isSoak)("SQLite", () => {
  // gcc takes minutes for four SQLites.
  it("rounds as its next version does, from one query to the next", {
    timeout: 3_600_000,
  }, async () => {
    const manifest = createRequire(import.meta.url).resolve("better-sqlite3/package.json");
    const sqlite = join(dirname(manifest), "deps", "sqlite3");
    const folder = tempDir("sqlite");
    const [old, next] = [join(folder, "old.c"), join(folder, "sqlite3.c")];
    const source = readFileSync(join(sqlite, "sqlite3.c"), "utf8");
    writeFileSync(next, source);
    writeFileSync(old, oldRound(source));
    const program = join(folder, "rounds");
    const main = fileURLToPath(new URL("../fixtures/live/rounds.c", import.meta.url));
    run("gcc", [...flags, `-I${sqlite}`, main, old, "-o", program, "-lm", "-pthread"]);
    const fix = join(folder, "fix.so");
    const built = await api.buildFix(old, next, { flags, output: fix, program });
    expect(built.changed).toEqual(["roundFunc"]);
    const target = await Target.start(program);
    const count = async () => {
      target.send("begin");
      await target.line(/^begun/);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      target.send("count");
      return target.numbers();
    };
    expect(await count()).toMatchObject({ new: 0, wrong: 0 });
    await using patching = await api.patchProcess(target.pid, fix);
    await patching.done;
    const patched = await count();
    expect(patched).toMatchObject({ old: 0, wrong: 0 });
    expect(patched["new"]).toBeGreaterThan(0);
    await using reverting = await api.revertPatch(target.pid);
    await reverting.done;
    expect(await count()).toMatchObject({ new: 0, wrong: 0 });
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});
