/**
 * Several users of one process: recordings and counts of other processes join who has attached
 * first, each with its own functions, events and end.
 */
import { describe, expect, it } from "vitest";
import {
  api,
  compile,
  patchbay,
  type Running,
  startPatchbay,
  startRecording,
  Target,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes, stateOf } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

type Own = Readonly<Record<string, number>>;

const start = (...options: readonly string[]): Promise<Target> =>
  Target.start(compile("count.c"), "depth=5", "threads=3", ...options);

/** A recording of some functions by a process of its own. */
async function record(target: Target, ...filter: readonly string[]) {
  const directory = tracePath();
  const globs = filter.flatMap((glob) => ["-F", glob]);
  const tracer = await startRecording("-p", String(target.pid), ...globs, "-o", directory);
  return { tracer, directory };
}

async function end({ tracer }: { readonly tracer: Running }): Promise<string> {
  tracer.child.kill("SIGINT");
  expect(await tracer.ended).toEqual({ status: 0, signal: null });
  return tracer.stderr;
}

/** A trace has every call of these functions, and none of others. */
function expectExact(directory: string, own: Own, names: readonly string[]): void {
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ isEnded: true, lost: 0, damages: 0, backwards: 0, tornBytes: 0 });
  const found = [...counts.functions].filter(([, { entries }]) => entries > 0);
  const wanted = names.filter((name) => (own[name] ?? 0) > 0);
  expect(found.map(([name]) => name).sort()).toEqual([...wanted].sort());
  for (const name of wanted) {
    const calls = own[name];
    const events = { entries: calls, exits: calls, unwound: 0 };
    expect([name, counts.functions.get(name)]).toEqual([name, events]);
  }
}

/** Nothing of ours is left, and the program comes to a good end. */
async function expectUntouched(target: Target): Promise<void> {
  expect(changedTextBytes(target.pid)).toBe(0);
  const { maps, threads } = stateOf(target.pid);
  expect(maps.filter((line) => line.includes("patchbay:") || line.includes("memfd"))).toEqual([]);
  expect(threads).toBe(1);
  target.send("end");
  expect(await target.ended).toEqual({ status: 0, signal: null });
}

/** Names of the functions that are enabled, as a guest sees them who wants one of them himself. */
async function enabledIn(target: Target): Promise<readonly string[]> {
  await using session = await api.attach(target.pid);
  const filter = { include: ["traced_leaf"] };
  const recording = await session.record({ directory: tracePath(), filter });
  return (await recording.enabledFunctions()).map(({ name }) => name).sort();
}

const all = ["traced_leaf", "traced_recurse", "traced_last"];

describe("a second recording of a process", () => {
  it("joins the first one, and each has all of its calls", async () => {
    const target = await start("calls=20000", "pace=500");
    const first = await record(target, "traced_leaf");
    const second = await record(target, "traced_*");
    expect(second.tracer.stderr).toContain(`, joining patchbay process ${first.tracer.pid}\n`);
    const third = await record(target, "traced_recurse", "traced_last");
    target.send("begin");
    const own = await target.numbers();
    expect(await end(second)).toMatch(/; stopped\n$/);
    expect(await end(third)).toMatch(/; stopped\n$/);
    expect(await end(first)).toMatch(/; stopped\n$/);
    expectExact(first.directory, own, ["traced_leaf"]);
    expectExact(second.directory, own, all);
    expectExact(third.directory, own, ["traced_recurse", "traced_last"]);
    await expectUntouched(target);
  });

  it("comes and goes while the first one records under load", async () => {
    const target = await start("calls=0", "pace=1000");
    const first = await record(target, "traced_leaf");
    target.send("begin");
    for (let round = 0; round < 3; round++) {
      const guest = await record(target, "traced_*");
      await until("the guest has events", () => countTrace(guest.directory).entries > 1000);
      await end(guest);
      expect(countTrace(guest.directory)).toMatchObject({ isEnded: true, damages: 0 });
    }
    await end(first);
    expect(countTrace(first.directory)).toMatchObject({ isEnded: true, damages: 0, backwards: 0 });
    target.send("stop");
    await target.numbers();
    await expectUntouched(target);
  });

  it("counts beside it, and the other way round", async () => {
    const target = await start("calls=20000", "pace=500");
    const args = ["stat", "-p", String(target.pid), "-F", "traced_l*", "--json", "--duration"];
    const counting = startPatchbay(...args, "1h", "--interval", "50ms");
    await counting.line(/^\{/);
    const guest = await record(target, "traced_*");
    target.send("begin");
    const own = await target.numbers();
    await end(guest);
    counting.child.kill("SIGINT");
    const { stdout, status } = await counting.finish();
    const last = JSON.parse(stdout.split("\n").at(-1) ?? "");
    const calls = Object.fromEntries(
      last.functions.map(({ name, calls }: { name: string; calls: number }) => [name, calls]),
    );
    const { traced_leaf, traced_last } = own;
    expect({ status, calls }).toEqual({ status: 0, calls: { traced_leaf, traced_last } });
    expectExact(guest.directory, own, all);
  });
});

describe("ends of several users", () => {
  it("the first one stays for the others, says so, and its own trace is whole", async () => {
    const target = await start("calls=20000");
    const first = await record(target, "traced_leaf");
    const guest = await record(target, "traced_*");
    first.tracer.child.kill("SIGINT");
    await first.tracer.complaint(/patchbay: staying for 1 other patchbay process /);
    expect(countTrace(first.directory)).toMatchObject({ isEnded: true, entries: 0 });
    target.send("begin");
    const own = await target.numbers();
    await end(guest);
    expect(await first.tracer.ended).toEqual({ status: 0, signal: null });
    expectExact(guest.directory, own, all);
    await expectUntouched(target);
  });

  it("Ctrl-C once more ends it for all, and every trace is whole", async () => {
    const target = await start("calls=0", "pace=1000");
    target.send("begin");
    const first = await record(target, "traced_leaf");
    const guest = await record(target, "traced_*");
    await until("the guest has events", () => countTrace(guest.directory).entries > 1000);
    first.tracer.child.kill("SIGINT");
    await first.tracer.complaint(/patchbay: staying for 1 other patchbay process /);
    await end(first);
    expect(await guest.tracer.ended).toEqual({ status: 0, signal: null });
    expect(guest.tracer.stderr).toMatch(/; patchbay process \d+, which had attached, ended\n$/);
    expect(countTrace(guest.directory)).toMatchObject({ isEnded: true, damages: 0, tornBytes: 0 });
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("a guest that is killed takes its functions along, and nobody else's", async () => {
    const target = await start("calls=20000");
    const first = await record(target, "traced_leaf");
    const guest = await record(target, "traced_recurse", "traced_last");
    expect(await enabledIn(target)).toEqual(["traced_last", "traced_leaf", "traced_recurse"]);
    guest.tracer.child.kill("SIGKILL");
    await guest.tracer.ended;
    await expect.poll(() => enabledIn(target), { timeout: 60_000 }).toEqual(["traced_leaf"]);
    target.send("begin");
    const own = await target.numbers();
    await end(first);
    expectExact(first.directory, own, ["traced_leaf"]);
    await expectUntouched(target);
  });

  it("when the first one is killed, the program is put back and guests end whole", async () => {
    const target = await start("calls=0", "pace=1000");
    target.send("begin");
    const first = await record(target, "traced_leaf");
    const guest = await record(target, "traced_*");
    await until("the guest has events", () => countTrace(guest.directory).entries > 1000);
    first.tracer.child.kill("SIGKILL");
    expect(await guest.tracer.ended).toEqual({ status: 0, signal: null });
    expect(guest.tracer.stderr).toMatch(/; patchbay process \d+, which had attached, ended\n$/);
    expect(countTrace(guest.directory)).toMatchObject({ isEnded: true, damages: 0, tornBytes: 0 });
    await until("the text is the file's", () => changedTextBytes(target.pid) === 0);
    // And whoever comes next is the first again.
    const again = await record(target, "traced_leaf");
    await until("there are events", () => countTrace(again.directory).entries > 1000);
    await end(again);
    target.send("stop");
    await target.numbers();
    target.send("end");
    expect(await target.ended).toEqual({ status: 0, signal: null });
  });
});

describe("several users of one session", () => {
  it("record and count side by side, and each can be switched by itself", async () => {
    const target = await start("calls=20000", "pace=500");
    await using session = await api.attach(target.pid);
    const directories = [tracePath(), tracePath()] as const;
    const filter = { include: ["traced_*"] };
    const first = await session.record({ directory: directories[0], filter });
    const second = await session.record({ directory: directories[1], filter });
    const counting = await session.observe({ filter });
    await second.setEnabled(false);
    const enabled = await first.enabledFunctions();
    const leaf = enabled.find(({ name }) => name === "traced_leaf");
    expect(leaf?.ops).toEqual(["record", "stat"]);
    target.send("begin");
    const own = await target.numbers();
    expect((await second.stop()).events).toBe(0);
    await first.stop();
    const { statistics } = await counting.stop();
    for (const { name, calls } of statistics) expect([name, calls]).toEqual([name, own[name]]);
    expectExact(directories[0], own, all);
    await session.close();
    await expectUntouched(target);
  });

  it("are refused what the first one did not bring in", async () => {
    const target = await start();
    const first = await record(target, "traced_leaf");
    const refused = await patchbay("record", "-p", String(target.pid), "--prologues");
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/^patchbay: trace process \d+ with --prologues .*\n$/);
    await end(first);
  });
});
