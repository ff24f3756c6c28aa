/** Tracing functions that a fix replaces: both versions show, and neither harms the other. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { api, patchbay, Running, tempDir } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { Clients, compileFix, plain, sites, startServer } from "./versions-server.ts";

describe("a tracer beside a fix", () => {
  it.each([sites, plain])("counts what is replaced and what replaces it: %s", async (...flags) => {
    const { target, port } = await startServer(flags);
    const fix = compileFix("versions-fix.c");
    await using patching = await api.patchProcess(target.pid, fix);
    await patching.done;
    const clients = new Clients(port);
    clients.expect("new");
    await clients.more(50);
    await using session = await api.attach(target.pid);
    const include = ["price", "patchbay_fix_handle"];
    const observation = await session.observe({ filter: { include }, prologues: true });
    await clients.more(300);
    const { statistics } = await observation.stop();
    const calls = new Map(statistics.map((one) => [one.name, one.calls]));
    expect(calls.get("patchbay_fix_handle")).toBeGreaterThan(100);
    // The new handle() calls the new price() itself, not by the old one's entry.
    expect(calls.get("price") ?? 0).toBe(0);
    await session.close();
    await clients.more(50);
    await using reverting = await api.revertPatch(target.pid);
    expect(await reverting.done).toMatchObject({ result: "reverted" });
    await clients.finish();
    expect(clients.wrong.filter((line) => !line.includes("old, expected new"))).toEqual([]);
    expect(changedTextBytes(target.pid)).toBe(0);
  });

  it("shows both names in a graph, and leaves the fix in force when it is killed", async () => {
    const { target } = await startServer(sites);
    const fix = compileFix("linger-fix.c");
    await using patching = await api.patchProcess(target.pid, fix);
    await patching.done;
    const directory = join(tempDir("trace"), "trace");
    const record = new Running("node", [
      ...["dist/cli/main.js", "record", "-p", `${target.pid}`, "-o", directory, "--prologues"],
      ...["-F", "linger", "-F", "patchbay_fix_linger"],
    ]);
    await record.complaint(/functions/);
    target.send("hop");
    expect(await target.line(/^hop/)).toMatch(/^hop 33 /);
    record.child.kill("SIGINT");
    await record.ended;
    const graph = await patchbay("graph", directory);
    expect(graph.stdout).toMatch(/ linger\(.*\n.* patchbay_fix_linger\(/);
    const killed = new Running("node", [
      ...[
        "dist/cli/main.js",
        "record",
        "-p",
        `${target.pid}`,
        "-o",
        `${directory}2`,
        "-F",
        "linger",
      ],
    ]);
    await killed.complaint(/recording 1 function/);
    killed.child.kill("SIGKILL");
    await killed.ended;
    target.send("hop");
    expect(await target.line(/^hop/)).toMatch(/^hop 33 /);
    await using reverting = await api.revertPatch(target.pid);
    await reverting.done;
    target.send("hop");
    expect(await target.line(/^hop/)).toMatch(/^hop 11 /);
    expect(changedTextBytes(target.pid)).toBe(0);
  });
});
