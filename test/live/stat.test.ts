/** `patchbay stat`: counts that are the program's own, and an end that leaves nothing. */
import { describe, expect, it } from "vitest";
import { compile, patchbay, startPatchbay, Target } from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";

type Line = {
  readonly seconds: number;
  readonly reason?: string;
  readonly functions: readonly { name: string; calls: number; perSecond: number }[];
};

const countsOf = ({ functions }: Line): Readonly<Record<string, number>> =>
  Object.fromEntries(functions.map(({ name, calls }) => [name, calls]));
const lastLine = (text: string): Line => JSON.parse(text.trimEnd().split("\n").at(-1) ?? "");

/** Mappings that are executable or come from files. */
const foreignMaps = ({ maps }: ReturnType<typeof stateOf>): readonly string[] =>
  maps.filter((line) => / r-xp | \d+ +\//.test(line));

const program = (): string => compile("count.c");
const work = ["threads=4", "calls=20000", "depth=5", "signals=1"] as const;
const stat = ["stat", "-F", "traced_*", "--interval", "50ms"] as const;

describe("stat", () => {
  it("counts every call, until it is interrupted", async () => {
    const target = await Target.start(program(), ...work);
    const before = stateOf(target.pid);
    const running = startPatchbay(...stat, "-p", String(target.pid), "--json");
    await running.line(/"seconds"/);
    target.send("begin");
    const own = await target.numbers();
    const isSeen = async (): Promise<Line> => JSON.parse(await running.line(/"seconds"/));
    let seen = await isSeen();
    while (countsOf(seen)["traced_last"] !== own["traced_last"]) seen = await isSeen();
    expect(countsOf(seen)).toEqual(own);
    running.child.kill("SIGINT");
    const { status, stdout, stderr } = await running.finish();
    expect([status, stderr]).toEqual([0, ""]);
    expect(lastLine(stdout)).toMatchObject({ reason: "stopped" });
    expect(countsOf(lastLine(stdout))).toEqual(own);
    expect(changedTextBytes(target.pid)).toBe(0);
    const after = stateOf(target.pid);
    expect([after.descriptors, after.threads]).toEqual([before.descriptors, before.threads]);
    // What the threads of the program leave behind is its own.
    expect(foreignMaps(after)).toEqual(foreignMaps(before));
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("counts to the very end of a program that ends", async () => {
    const command = [program(), "wait=0", ...work];
    const { status, stdout, stderr } = await patchbay(...stat, "--json", "--", ...command);
    expect([status, stderr]).toEqual([0, ""]);
    const own = JSON.parse(stdout.split("\n").find((line) => line.startsWith('{"traced')) ?? "");
    expect(countsOf(lastLine(stdout))).toEqual(own);
    expect(lastLine(stdout).reason).toBe("the program exited with status 0");
  });

  it("prints one table after one interval, most calls first, and ends", async () => {
    const target = await Target.start(program(), "calls=2000", "pace=100");
    target.send("begin");
    const table = await patchbay("stat", "-p", String(target.pid), "--once", "--interval", "200ms");
    expect(table.status).toBe(0);
    expect(table.stderr).toMatch(/^patchbay: counted [\d,]+ calls of [\d,]+ functions; stopped\n$/);
    const [heading] = table.stdout.split("\n");
    expect(heading).toMatch(/^ +calls +calls\/s {2}function$/);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("ends by itself after its duration", async () => {
    const target = await Target.start(program());
    const args = ["-p", String(target.pid), "--duration", "150ms", "--json"];
    const { status, stdout } = await patchbay(...stat, ...args);
    expect([status, lastLine(stdout)]).toMatchObject([0, { functions: [], reason: "stopped" }]);
  });
});
