/**
 * Live patching: a server with a bug is patched and reverted under load, and each answer that a
 * client gets is that of one version; a thread that stays in an old function is waited for; what
 * can't be is refused, and nothing has changed then.
 */
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { api, isSoak, listProc, Running, run, tempDir } from "./harness.ts";
import { changedTextBytes, collectGarbage, residentKb, stateOf } from "./process-state.ts";
import { Clients, compileFix, plain, sites, startServer } from "./versions-server.ts";

const cycles = isSoak ? 1000 : 20;
/** The first rounds make both programs' heaps what they will be. */
const warmUp = cycles / 10;

/** What must not grow with the rounds, of the patched process and of this one. */
function footprint(pid: number) {
  collectGarbage();
  return {
    maps: stateOf(pid).maps.length,
    files: listProc(`/proc/${pid}/fd`).length,
    residentKb: residentKb(pid),
    own: {
      files: listProc("/proc/self/fd").length,
      threads: listProc("/proc/self/task").length,
      residentKb: residentKb(process.pid),
    },
  };
}

/** One round: patched and reverted, and each answer in between is the right one. */
async function cycle(pid: number, fix: string, clients: Clients): Promise<void> {
  clients.expect(undefined);
  await using patching = await api.patchProcess(pid, fix);
  expect(await patching.done).toMatchObject({ result: "patched" });
  clients.expect("new");
  await clients.more(100);
  clients.expect(undefined);
  await using reverting = await api.revertPatch(pid);
  expect(await reverting.done).toMatchObject({ result: "reverted" });
  clients.expect("old");
  await clients.more(100);
  expect(clients.wrong.slice(0, 5)).toEqual([]);
}

describe("a fix", () => {
  it.each([sites, plain])(
    `goes in and out under load ${cycles} times, built with %s`,
    { timeout: isSoak ? 3_600_000 : 180_000 },
    async (...flags) => {
      const { target, port } = await startServer(flags);
      const { pid } = target;
      const fix = compileFix("versions-fix.c");
      const clients = new Clients(port);
      await clients.more(200);
      for (let done = 0; done < warmUp; done++) await cycle(pid, fix, clients);
      const before = footprint(pid);
      const start = performance.now();
      for (let done = warmUp; done < cycles; done++) await cycle(pid, fix, clients);
      const ms = (performance.now() - start) / (cycles - warmUp);
      const after = footprint(pid);
      await clients.finish();
      target.send("hop");
      // Each question got its one answer, and the program counted the same.
      expect((await target.line(/^hop/)).split(" ")[2]).toBe(`${clients.answers}`);
      expect(changedTextBytes(pid)).toBe(0);
      expect(after.maps).toBe(before.maps);
      expect(after.files).toBe(before.files);
      expect(after.own.files).toBe(before.own.files);
      expect(after.own.threads).toBe(before.own.threads);
      const grown = after.residentKb - before.residentKb;
      expect(grown).toBeLessThan(1024);
      process.stdout.write(
        `${cycles} rounds of ${ms.toFixed(0)} ms, ${clients.answers} answers, ${grown} KiB more; ` +
          `the patcher's memory: ${before.own.residentKb}, then ${after.own.residentKb} KiB\n`,
      );
      if (isSoak) expect(after.own.residentKb - before.own.residentKb).toBeLessThan(32 << 10);
    },
  );
});

/** `patchbay patch`, running. */
const patching = (pid: number, fix: string, ...more: readonly string[]): Running =>
  new Running("node", ["dist/cli/main.js", "patch", "-p", `${pid}`, fix, ...more]);

/** A server with a thread that is inside of `linger`, and a fix for that. */
async function startLingering() {
  const { target } = await startServer(sites);
  target.send("linger");
  await target.line(/^lingering/);
  return { target, fix: compileFix("linger-fix.c") };
}

describe("a thread that stays in an old function", () => {
  it("is waited for, with its stack, and both functions change when it returns", async () => {
    const { target, fix } = await startLingering();
    const command = patching(target.pid, fix);
    await command.complaint(/is inside linger: .*linger < lingering/);
    target.send("hop");
    expect(await target.line(/^hop/)).toMatch(/^hop 33 /);
    const [state] = api.listPatches(target.pid);
    expect(state).toMatchObject({ state: "switching", owner: command.pid });
    target.send("return");
    // The thread that held called the old function to its end.
    expect(await target.line(/^lingered/)).toBe("lingered 11");
    const { status, stderr } = await command.finish();
    expect(stderr).toMatch(/patched 2 functions \(.*linger.*\).*waiting for 1 thread\n/);
    expect(status).toBe(0);
    expect(api.listPatches(target.pid)).toMatchObject([{ state: "in force", holding: [] }]);
  });

  it("goes on as before when the change is cancelled by Ctrl-C", async () => {
    const { target, fix } = await startLingering();
    const before = stateOf(target.pid);
    const command = patching(target.pid, fix);
    await command.complaint(/is inside linger/);
    command.child.kill("SIGINT");
    const { status, stderr } = await command.finish();
    expect(stderr).toMatch(/cancelled 2 functions/);
    expect(status).toBe(1);
    target.send("return");
    expect(await target.line(/^lingered/)).toBe("lingered 11");
    expect(changedTextBytes(target.pid)).toBe(0);
    expect(stateOf(target.pid).maps.length).toBeLessThanOrEqual(before.maps.length + 1);
    expect(api.listPatches(target.pid)).toEqual([]);
  });

  it("is told by another command to be forced, and mixes versions then", async () => {
    const { target, fix } = await startLingering();
    const command = patching(target.pid, fix);
    await command.complaint(/is inside linger/);
    expect(api.requestPatch(target.pid, "force")).toBe(true);
    const { status, stderr } = await command.finish();
    expect(stderr).toMatch(/by force/);
    expect(status).toBe(0);
    target.send("return");
    expect(await target.line(/^lingered/)).toBe("lingered 12");
  });

  it("is not waited for with --immediate", async () => {
    const { target, fix } = await startLingering();
    const { status } = await patching(target.pid, fix, "--immediate").finish();
    expect(status).toBe(0);
    target.send("return");
    expect(await target.line(/^lingered/)).toBe("lingered 12");
  });

  it("keeps its version when the patcher is killed; a revert cleans up", async () => {
    const { target, fix } = await startLingering();
    const command = patching(target.pid, fix);
    await command.complaint(/is inside linger/);
    command.child.kill("SIGKILL");
    await command.ended;
    expect(api.listPatches(target.pid)).toMatchObject([{ state: "switching" }]);
    target.send("return");
    expect(await target.line(/^lingered/)).toBe("lingered 11");
    await using reverting = await api.revertPatch(target.pid);
    expect(await reverting.done).toMatchObject({ result: "reverted" });
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});

describe("what can't be is refused, and nothing has changed", () => {
  const needle = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // Reasons and advice as they are printed, with `*` for what differs from build to build.
  const refusals: readonly (readonly [string, string, readonly string[], string])[] = [
    [
      "another build-id",
      "int patchbay_fix_step(int v) { return v; }\n" +
        '__asm__(".pushsection .patchbay.target,\\"a\\"; .ascii \\"0123abcd\\"; .popsection");',
      [],
      "it was made for build-id 0123abcd, and the process runs * " +
        "(make the fix for the version that runs)",
    ],
    [
      "a function that is not there",
      "int patchbay_fix_stepp(int v) { return v; }",
      [],
      "no function stepp in the process (did you mean step*?)",
    ],
    [
      "a function that was inlined everywhere",
      "int patchbay_fix_only_inlined(int v) { return v; }",
      [],
      "only_inlined was inlined everywhere in *: into main at versions.c:* " +
        "(replace the functions that it was inlined into)",
    ],
    [
      "a static that is not declared weak",
      "extern unsigned long answers; int patchbay_fix_step(int v) { return answers + v; }",
      [],
      "the fix uses answers, which is static in * " +
        "(declare it __attribute__((weak)): then it is looked up there)",
    ],
    [
      "a static that is not there",
      "extern int gone __attribute__((weak)); int patchbay_fix_step(int v) { return gone + v; }",
      [],
      "the fix uses gone, which nothing in the process defines",
    ],
    [
      "a static of another type",
      "extern int answers __attribute__((weak));" +
        "int patchbay_fix_step(int v) { return answers + v; }",
      [],
      "answers has another type: int instead of unsigned long (* goes on with what it has)",
    ],
    [
      "a library that needs what is nowhere",
      "extern int nowhere(void); int patchbay_fix_step(int v) { return nowhere() + v; }",
      [],
      "*: undefined symbol: nowhere",
    ],
    [
      "another signature",
      "int patchbay_fix_step(long v) { return v; }",
      [],
      "step has another signature: int (long) instead of int (int) " +
        "(* goes on with what it has)",
    ],
    [
      "another layout of a structure",
      "struct sockaddr_in { long more; } s; int patchbay_fix_step(int v) { return v; }",
      [],
      "struct sockaddr_in is laid out otherwise: 8 bytes: more long at 0 instead of 16 bytes: " +
        "* (* goes on with what it has)",
    ],
    [
      "no function at all",
      "int other(int v) { return v; }",
      [],
      "* says of no function that it replaces one " +
        "(name it patchbay_fix_FUNCTION, or give --map FUNCTION=NAME)",
    ],
    [
      "a map to nothing",
      "int other(int v) { return v; }",
      ["--map", "step=another"],
      "* has no function another, to replace step",
    ],
  ];

  it.each(refusals)("%s", async (_, source, options, message) => {
    const { target } = await startServer(sites);
    const before = stateOf(target.pid);
    const folder = tempDir("fix");
    const path = join(folder, "fix.so");
    writeFileSync(join(folder, "fix.c"), source);
    run("gcc", ["-O2", "-g", "-shared", "-fPIC", join(folder, "fix.c"), "-o", path]);
    const { status, stderr } = await patching(target.pid, path, ...options).finish();
    const { pid } = target;
    const doing = `(patch process ${pid} with fix\\.so|load .*fix\\.so into process ${pid})`;
    const why = message.split("*").map(needle).join(".*");
    expect(stderr).toMatch(new RegExp(`^patchbay: ${doing}: ${why}\n$`));
    expect(status).toBe(1);
    expect(stateOf(target.pid)).toEqual(before);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("a function that another fix or a tracer holds, unless it is stacked", async () => {
    const { target } = await startServer(sites);
    const { pid } = target;
    const first = compileFix("linger-fix.c");
    await using patched = await api.patchProcess(pid, first, { name: "first" });
    await patched.done;
    const second = join(tempDir("fix"), "second.so");
    writeFileSync(`${second}.c`, "int patchbay_fix_linger(int wait) { return 44 + 0 * wait; }");
    run("gcc", ["-O2", "-shared", "-fPIC", `${second}.c`, "-o", second]);
    await expect(api.patchProcess(pid, second)).rejects.toThrow(/linger is replaced by first/);
    await using stacked = await api.patchProcess(pid, second, { stack: true });
    await stacked.done;
    target.send("hop");
    expect(await target.line(/^hop/)).toMatch(/^hop 44 /);
    await expect(api.revertPatch(pid, { name: "first" })).rejects.toThrow(/second lies on top/);
    for (const expected of [/^hop 33 /, /^hop 11 /]) {
      await using reverting = await api.revertPatch(pid);
      await reverting.done;
      target.send("hop");
      expect(await target.line(/^hop/)).toMatch(expected);
    }
    expect(changedTextBytes(pid)).toBe(0);
    await using session = await api.attach(pid);
    await using _ = new AsyncEnd(await session.observe({ filter: { include: ["linger"] } }));
    await expect(api.patchProcess(pid, first)).rejects.toThrow(
      /patchbay process \d+ is tracing it/,
    );
  });

  it("a function that somebody else has redirected", async () => {
    const { target } = await startServer(sites);
    const { pid } = target;
    const session = await api.attach(pid);
    const [linger] = session.select({ include: ["linger"] });
    await session.close();
    const at = Number(linger?.at);
    // A jump to what comes behind it anyway.
    const jump = Uint8Array.of(0xe9, 0, 0, 0, 0);
    const memory = openSync(`/proc/${pid}/mem`, "r+");
    writeSync(memory, jump, 0, jump.length, at);
    await expect(api.patchProcess(pid, compileFix("linger-fix.c"))).rejects.toThrow(
      `linger is redirected already: at 0x${at.toString(16)} stand e9 00 00 00 00 ` +
        "(by a tracer or another tool; let that one go first)",
    );
    const standing = Buffer.alloc(jump.length);
    readSync(memory, standing, 0, jump.length, at);
    closeSync(memory);
    expect([...standing]).toEqual([...jump]);
    expect(changedTextBytes(pid)).toBe(jump.length);
    target.send("hop");
    expect(await target.line(/^hop/)).toMatch(/^hop 11 /);
  });
});

/** Ends an observation with its scope. */
class AsyncEnd {
  readonly #observation: { stop(): Promise<unknown> };
  constructor(observation: { stop(): Promise<unknown> }) {
    this.#observation = observation;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#observation.stop();
  }
}
