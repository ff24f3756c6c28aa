/** Functions that switch a recording on and off, from their call on, and what the trace shows. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  api,
  compile,
  isSoak,
  listProc,
  patchbay,
  startRecording,
  Target,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const sites = { flags: ["-O2", "-g", "-fpatchable-function-entry=5"] };
const literals = { flags: ["-O2", "-g", "-fpatchable-function-entry=13,8"] };

/** Entries and exits by function after these lines were sent, recorded with these options. */
async function record(
  build: typeof sites,
  lines: readonly string[],
  ...options: readonly string[]
): Promise<{ readonly counts: Readonly<Record<string, string>>; readonly directory: string }> {
  const target = await Target.start(compile("triggers.c", build));
  const directory = tracePath();
  const recorder = await startRecording("-p", String(target.pid), "-o", directory, ...options);
  for (const line of lines) {
    target.send(line);
    await target.numbers();
  }
  recorder.child.kill("SIGINT");
  const { status, stderr } = await recorder.finish();
  expect([status, stderr]).toEqual([0, expect.stringContaining("0 lost")]);
  expect(changedTextBytes(target.pid)).toBe(0);
  await target.finish();
  expect(await target.ended).toEqual({ status: 0, signal: null });
  const { functions, backwards, damages } = countTrace(directory);
  expect([backwards, damages]).toEqual([0, 0]);
  const counts = [...functions].map(([name, one]) => [name, `${one.entries}/${one.exits}`]);
  return { counts: Object.fromEntries(counts.filter(([, text]) => text !== "0/0")), directory };
}

describe("triggers", { timeout: 180_000 }, () => {
  it("switch a recording off, for good after their count", async () => {
    const { counts } = await record(sites, ["round", "round"], "--trigger", "off:traceoff:1");
    expect(counts).toEqual({
      ...{ work: "8/8", inner: "16/16", on: "1/1", off: "1/1" },
      "[tracing off]": "1/1",
    });
  });

  it.each([sites, literals])("switch it on and off again, built with $flags", async (build) => {
    const triggers = ["--off", "--trigger", "on:traceon", "--trigger", "off:traceoff"];
    const { counts } = await record(build, ["round", "round"], ...triggers);
    expect(counts).toEqual({
      ...{ work: "10/10", inner: "20/20", on: "2/2", off: "2/2" },
      ...{ "[tracing on]": "2/2", "[tracing off]": "2/2" },
    });
  });

  it("record entries alone where that is asked for, by whatever dispatch", async () => {
    const triggers = ["--off", "--trigger", "on:traceon:1", "--trigger", "off:traceoff"];
    for (const form of isSoak ? ["call-ops", "fused", "list", "thunk"] : ["call-ops", "list"]) {
      const more = [...triggers, "--no-exits", "--dispatch", form];
      const { counts } = await record(literals, ["round", "round"], ...more);
      expect([form, counts["work"], counts["inner"]]).toEqual([form, "5/0", "10/0"]);
    }
  });

  it("leave calls whole that they fall into, and show where it was off", async () => {
    const { counts, directory } = await record(sites, ["deep"], "--trigger", "off:traceoff");
    expect(counts).toMatchObject({ work: "9/9", inner: "18/18", deep: "1/1", off: "1/1" });
    const { stdout } = await patchbay("graph", directory);
    expect(stdout).toMatch(/off\(\) \{[^}]*\[tracing off\]\(\);/);
  });

  it.each(["off:snapshot:1", undefined])("write a flight recorder's rings: %s", async (trigger) => {
    const target = await Target.start(compile("triggers.c", sites));
    const directory = tracePath();
    // Rings for six rounds and a bit.
    const recorder = await startRecording(
      ...["-p", String(target.pid), "-o", directory, "--flight-recorder", "--ring-size", "4K"],
      ...["-F", "work", "-F", "inner", "-F", "on", "-F", "off"],
      ...(trigger === undefined ? [] : ["--trigger", trigger]),
    );
    const rounds = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        target.send("round");
        await target.numbers();
      }
    };
    const bytes = (): number =>
      ["", ...listProc(directory)]
        .filter((name) => name.startsWith("thread-"))
        .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
    expect(bytes()).toBe(0);
    await rounds(3);
    if (trigger === undefined) {
      const { status, stdout } = await patchbay("ctl", "-p", String(target.pid), "snapshot");
      expect([status, stdout]).toEqual([0, expect.stringContaining("events written")]);
    }
    await until("the rings are written", () => bytes() > 0);
    await rounds(20);
    recorder.child.kill("SIGINT");
    const { stderr } = await recorder.finish();
    const [, events = "", lost = ""] =
      /recorded ([\d,]+) events .* ([\d,]+) lost/.exec(stderr) ?? [];
    const number = (text: string): number => Number(text.replaceAll(",", ""));
    const marks = trigger === undefined ? 0 : 2;
    expect(number(events) + number(lost)).toBe(23 * 76 + marks);
    expect(number(lost)).toBeGreaterThan(0);
    const { functions, backwards, damages } = countTrace(directory);
    expect([backwards, damages]).toEqual([0, 0]);
    expect(functions.get("[snapshot]")?.entries ?? 0).toBe(marks / 2);
    // The first rounds, and the last ones.
    expect(number(events)).toBeGreaterThan(511 + (trigger === undefined ? 3 * 76 - 1 : 50));
  });

  it("have rings written while their threads go on, and every event is counted", async () => {
    const target = await Target.start(compile("triggers.c", sites));
    await using session = await api.attach(target.pid);
    const directory = tracePath();
    const recording = await session.record({
      directory,
      filter: { include: ["work", "inner", "on", "off"] },
      flightRecorder: true,
      ringBytes: 65536,
    });
    const rounds = isSoak ? 200_000 : 5000;
    target.send("round\n".repeat(rounds).trimEnd());
    for (let answers = 0; answers < rounds; answers += 50) {
      await recording.snapshot();
      for (let i = 0; i < 50; i++) await target.numbers();
    }
    const { events, lost } = await recording.stop();
    expect(events + lost).toBe(rounds * 76);
    const { backwards, damages } = countTrace(directory);
    expect([backwards, damages]).toEqual([0, 0]);
  });

  it("are refused in one line where they are none", async () => {
    const target = await Target.start(compile("triggers.c", sites));
    const refuse = async (trigger: string, wanted: number): Promise<string> => {
      const result = await patchbay(
        ...["record", "-p", String(target.pid), "-o", tracePath(), "--trigger", trigger],
      );
      expect(result.status).toBe(wanted);
      expect(result.stderr).toMatch(/^patchbay: [^\n]+\n$/);
      return result.stderr;
    };
    expect(await refuse("work:explode", 2)).toContain("traceoff");
    expect(await refuse("work", 2)).toContain("no trigger");
    expect(await refuse("wrk:traceoff", 1)).toContain("work");
    expect(await refuse("work:snapshot", 2)).toContain("--flight-recorder");
  });
});
