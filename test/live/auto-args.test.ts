/** Values that debug information knows of: the graph shows each call as the program says it was. */
import { describe, expect, it } from "vitest";
import { compile, patchbay, startRecording, Target, tracePath } from "./harness.ts";

const five = "-fpatchable-function-entry=5";

describe("--auto-args", () => {
  it.each([
    ["gcc", "-O2"],
    ["gcc", "-O0"],
    ["clang", "-O2"],
  ])("shows arguments and results by name and type, of %s %s", async (compiler, level) => {
    const target = await Target.start(compile("typed.c", { compiler, flags: [level, "-g", five] }));
    const directory = tracePath();
    const pid = String(target.pid);
    const recording = await startRecording(
      ...["-p", pid, "-F", "traced_*", "--auto-args", "-o", directory],
    );
    target.send("begin");
    const own: string[] = [];
    for (;;) {
      const line = await target.line(/./);
      if (line === "done") break;
      own.push(line);
    }
    target.send("end");
    expect((await target.ended).status).toBe(0);
    expect(await recording.ended).toEqual({ status: 0, signal: null });
    const { stdout } = await patchbay("graph", directory);
    const calls = stdout
      .split("\n")
      .flatMap((line) => / \| {2}(traced_.*);$/.exec(line)?.[1] ?? []);
    expect(calls).toEqual(own);
    expect(own).toHaveLength(250);
  });
});
