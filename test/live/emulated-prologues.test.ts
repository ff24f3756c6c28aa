/**
 * AArch64 programs that nobody compiled for it, under qemu-user: their functions begin with
 * instructions that depend on their place, and each call is recorded, the C library's too.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { toggleToEnd } from "./emulated-programs.ts";
import { api, compile, patchbay, run, tempDir, tracePath } from "./harness.ts";
import { countTrace } from "./trace-counts.ts";

const compiler = "aarch64-linux-gnu-gcc";
const sysroot = "/usr/aarch64-linux-gnu";

/** How often `word-prologues.c` calls its functions, in three threads of 400 rounds. */
const rounds = 3 * 400;
const once = [
  "by_address",
  "by_page",
  "by_literal",
  "by_jump",
  "by_zero",
  "by_bit",
  "by_condition",
];

it.each(["-mbranch-protection=none", "-mbranch-protection=standard"])(
  "moves first instructions of every kind, built with %s",
  async (protection) => {
    const flags = ["-O2", "-g", protection];
    const program = compile("word-prologues.c", { compiler, flags });
    const directory = tracePath();
    const plain = run("qemu-aarch64", ["-L", sysroot, program]);
    const traced = await patchbay("record", "--prologues", "-o", directory, "--qemu", program);
    expect(traced).toMatchObject({ status: 0, stdout: plain.trim() });
    const { functions, lost, backwards, damages, isEnded } = countTrace(directory);
    expect({ lost, backwards, damages, isEnded }).toEqual({
      ...{ lost: 0, backwards: 0, damages: 0, isEnded: true },
    });
    for (const name of [...once, "plain_leaf", "qsort"]) {
      const expected = { entries: rounds, exits: rounds, unwound: 0 };
      expect([name, functions.get(name)]).toEqual([name, expected]);
    }
    // A return address that is signed before the site can't be hooked; `by_call` goes elsewhere.
    for (const name of ["signs", "by_call"]) {
      expect([name, functions.get(name)?.entries]).toEqual([name, rounds]);
    }
    expect(functions.get("jumps_back")?.entries).toBe(6);
    expect(functions.size).toBeGreaterThan(100);
  },
);

it("says why others are left alone", async () => {
  const program = compile("word-prologues.c", { compiler, flags: ["-O2", "-g"] });
  const { stdout } = await patchbay("sites", "--prologues", "--json", program);
  const { refused }: { refused: { name?: string; reason: string }[] } = JSON.parse(stdout);
  const reasonOf = (wanted: string) => refused.find(({ name }) => name === wanted)?.reason;
  expect(["loops", "sleeps", "by_trap", "_start"].map(reasonOf)).toEqual([
    "loop-at-entry",
    "system-call",
    "not-movable",
    "not-called",
  ]);
});

it("switches functions off and on while threads are in them", async () => {
  const stdout = join(tempDir(), "output");
  const program = compile("word-prologues.c", { compiler, flags: ["-O1"] });
  const plain = run("qemu-aarch64", ["-L", sysroot, program]);
  await using session = await api.launch([program], { stdout, emulated: {} });
  const recording = await session.record({
    directory: tracePath(),
    filter: { include: [] },
    prologues: true,
    flightRecorder: true,
  });
  await toggleToEnd(recording);
  const { refused, exit, protocols } = await recording.ended;
  expect([refused, exit]).toEqual([[], { kind: "exited", status: 0 }]);
  expect(protocols["moved"]).toBeGreaterThan(3_000);
  expect(protocols.stop).toBe(0);
  expect(readFileSync(stdout, "utf8")).toBe(plain);
});
