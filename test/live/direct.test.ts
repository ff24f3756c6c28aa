/**
 * Direct calls: functions of a library that was loaded into a program are called at the entries of
 * the program's, alone and beside tracers, come and go and change under load, and leave arguments
 * of every kind as they were.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  api,
  compile,
  isSoak,
  patchbay,
  run,
  startPatchbay,
  Target,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { makeRandom, newSeed } from "./random.ts";

const handlers = (): string => {
  const path = compile("direct-handlers.c", {
    flags: ["-O2", ...(readFileSync("/proc/cpuinfo", "utf8").includes(" avx2 ") ? ["-mavx2"] : [])],
    more: ["-shared", "-fPIC"],
  });
  run("cp", [path, `${path}.so`]);
  return `${path}.so`;
};

async function count(target: Target) {
  target.send("count");
  return target.numbers();
}

/** Waits until the program has made some more calls. */
async function moreCalls(target: Target): Promise<void> {
  const { calls: before = 0 } = await count(target);
  for (;;) {
    const { calls = 0 } = await count(target);
    if (calls > before + 1000) return;
  }
}

/** The value of a variable of the library in the process. */
function variableIn(pid: number, path: string, name: string, base: bigint): bigint {
  const line =
    run("nm", [path])
      .split("\n")
      .find((one) => one.endsWith(` ${name}`)) ?? "";
  const fd = openSync(`/proc/${pid}/mem`, "r");
  const bytes = Buffer.alloc(8);
  readSync(fd, bytes, 0, 8, Number(BigInt(`0x${line.split(" ")[0]}`) + base));
  closeSync(fd);
  return bytes.readBigUInt64LE();
}

const baseOf = (pid: number, path: string): bigint => {
  const line = stateOf(pid).maps.find((one) => one.endsWith(path)) ?? "";
  return BigInt(`0x${line.split("-")[0]}`);
};

/** Each thread of the program may be on its way to a handler when that is taken away. */
const threads = 3n;

describe("direct calls", () => {
  it("see arguments of every kind and leave them as they are", async () => {
    const target = await Target.start(compile("direct.c"));
    const library = handlers();
    const command = await patchbay(
      ...["direct", "-p", `${target.pid}`, library, "--duration", "1s"],
      ...["mixed=on_mixed", "variadic=on_variadic", "plain=on_plain"],
    );
    expect(command.stderr).toMatch(/mixed calls on_mixed, .*\n.* calls; stopped\n$/);
    expect(command.status).toBe(0);
    expect((await count(target))["wrong"]).toBe(0);
    expect(changedTextBytes(target.pid)).toBe(0);
    expect(stateOf(target.pid).maps.filter((line) => line.endsWith(library))).toEqual([]);
  });

  it("are no harm to a program that loads their library when the tracer is killed", async () => {
    const target = await Target.start(compile("count.c"), "calls=1000");
    const library = compile("slow-loader.c", { flags: ["-O2", "-shared", "-fPIC"] });
    const tracer = startPatchbay("direct", "-p", `${target.pid}`, library, "traced_leaf=on_leaf");
    await target.line(/^loading/);
    tracer.child.kill("SIGKILL");
    await tracer.ended;
    target.send("go on");
    target.send("begin");
    expect((await target.numbers())["traced_leaf"]).toBe(1000);
    await until("the text is the file's", () => changedTextBytes(target.pid) === 0);
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });

  it("come, change and go in any order beside tracers, under load", async () => {
    const random = makeRandom(newSeed());
    const target = await Target.start(compile("direct.c"));
    const { pid } = target;
    const path = handlers();
    await using session = await api.attach(pid);
    const recording = await session.record({
      directory: tracePath(),
      filter: { include: ["plain"] },
      flightRecorder: true,
      ringBytes: 64 << 10,
    });
    const library = await session.loadLibrary(path);
    const base = baseOf(pid, path);
    const seen = (name: string): bigint => variableIn(pid, path, name, base);
    const direct = (name: string) => ({ kind: "direct", target: library.address(name) }) as const;
    const include = ["plain"];
    for (let round = 0; round < (isSoak ? 200 : 2); round++) {
      const isFirst = random.next() < 0.5;
      const counting = isFirst
        ? await recording.register("count", { kind: "count" }, { include })
        : undefined;
      let ops = await recording.register("direct", direct("on_plain"), { include });
      const mixed = await recording.register("mixed", direct("on_mixed"), { include: ["mixed"] });
      await expect(recording.register("again", direct("on_other"), { include })).rejects.toThrow(
        /plain is redirected by record\/direct already/,
      );
      const before = seen("seen_plain");
      await moreCalls(target);
      expect(seen("seen_plain")).toBeGreaterThan(before);
      ops = await recording.setHandler(ops, direct("on_other"));
      await moreCalls(target);
      const [first, other] = [seen("seen_plain"), seen("seen_other")];
      await moreCalls(target);
      expect(seen("seen_plain") - first).toBeLessThanOrEqual(threads);
      expect(seen("seen_other")).toBeGreaterThan(other);
      if (counting !== undefined && random.next() < 0.5) await recording.unregister(counting);
      await recording.unregister(ops);
      await recording.unregister(mixed);
      if (counting !== undefined) await recording.unregister(counting).catch(() => undefined);
      const still = seen("seen_other");
      await moreCalls(target);
      await moreCalls(target);
      expect(seen("seen_other") - still).toBeLessThanOrEqual(threads);
    }
    expect(seen("strange")).toBe(0n);
    expect(seen("seen_mixed")).toBeGreaterThan(0n);
    await library.unload();
    expect(stateOf(pid).maps.filter((line) => line.endsWith(path))).toEqual([]);
    await recording.stop();
    expect((await count(target))["wrong"]).toBe(0);
    expect(changedTextBytes(pid)).toBe(0);
  });
});
