/**
 * The stacks of threads that hold a switch up, against gdb's: below frames of every kind, as they
 * were compiled with and without a frame pointer.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { api, compile, patchbay, run, Target, tempDir, until } from "./harness.ts";

/** The program's own functions of a stack, the innermost first. */
const ownOnly = (names: readonly string[]): readonly string[] =>
  names.filter((name) => /^(bottom|deep_|recursing|sorting|handling)/.test(name));

/** The functions of each thread as gdb finds them, by thread id. */
function gdbStacks(pid: number): ReadonlyMap<number, readonly string[]> {
  const text = run("gdb", ["-p", `${pid}`, "-batch", "-nx", "-ex", "thread apply all bt"]);
  const stacks = new Map<number, string[]>();
  let stack: string[] = [];
  for (const line of text.split("\n")) {
    const thread = /^Thread \d+ \(.*LWP (\d+)\)/.exec(line)?.[1];
    if (thread !== undefined) {
      stack = [];
      stacks.set(Number(thread), stack);
    }
    const frame = /^#\d+ +(?:0x[0-9a-f]+ in )?(\w+)/.exec(line)?.[1];
    if (frame !== undefined) stack.push(frame);
  }
  return stacks;
}

describe("a thread's stack", () => {
  it.each(["-fomit-frame-pointer", "-fno-omit-frame-pointer", "-fcf-protection=full"])(
    "is what gdb finds, built with %s",
    async (flag) => {
      const program = compile("deep.c", { flags: ["-O2", "-g", flag] });
      const target = await Target.start(program);
      const gdb = gdbStacks(target.pid);
      const fix = join(tempDir("fix"), "fix.so");
      writeFileSync(`${fix}.c`, "int patchbay_fix_bottom(int x) { return x; }");
      run("gcc", ["-O2", "-shared", "-fPIC", `${fix}.c`, "-o", fix]);
      await using patching = await api.patchProcess(target.pid, fix);
      const held = until("all are held up", () => patching.heldUp.length === 3);
      // Where it fails, it says why.
      await Promise.race([held, patching.done]);
      const { heldUp } = patching;
      const listed = api.listPatches(target.pid);
      const { stdout } = await patchbay("patches", "-p", `${target.pid}`);
      target.send("");
      expect(await patching.done).toMatchObject({ result: "patched", waitedFor: 3 });
      await target.line(/^done/);
      for (const { tid, stack, inside, isGuess } of heldUp) {
        expect(ownOnly(stack)).toEqual(ownOnly(gdb.get(tid) ?? []));
        expect(inside).toBe("bottom");
        expect(isGuess).toBe(false);
      }
      const kinds = heldUp.map(({ stack }) => stack.find((name) => /^deep_[hcr]/.test(name)));
      expect(new Set(kinds)).toEqual(new Set(["deep_compare", "deep_handler", "deep_recursion"]));
      // Whoever asks is told the same, without a look of his own.
      expect(listed).toMatchObject([{ state: "switching", heldUp }]);
      expect(stdout).toMatch(/: switching, waits for 3 threads; .*\n {2}bottom -> .*\n/);
      for (const { tid, stack } of heldUp) {
        const line = `^ {2}thread ${tid} .* is inside bottom: .*${stack.slice(-3).join(" < ")}$`;
        expect(stdout).toMatch(new RegExp(line, "m"));
      }
      expect(stdout).toMatch(
        new RegExp(`^ {2}process ${process.pid} sees to it: --cancel or`, "m"),
      );
    },
  );
});
