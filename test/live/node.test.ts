/** Node.js as it comes, serving requests, traced in its garbage collector and in libuv. */
import { Agent, get } from "node:http";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { patchbay, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const server = fileURLToPath(new URL("../fixtures/live/server.mjs", import.meta.url));
const clients = 4;

type Load = { answered: number; failed: number; isOver: boolean };

/** Asks the server at `port` until `load` is over, and checks each answer. */
async function ask(port: number, agent: Agent, load: Load): Promise<void> {
  for (let n = 1; !load.isOver; n = 1 + ((n * 7) % 2_000)) {
    try {
      const text = await new Promise<string>((resolve, reject) => {
        get({ host: "127.0.0.1", port, path: `/${n}`, agent }, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (part: string) => {
            body += part;
          });
          response.on("end", () => resolve(body)).on("error", reject);
        }).on("error", reject);
      });
      if (JSON.parse(text).sum === (n * (n + 1)) / 2) load.answered++;
      else load.failed++;
    } catch {
      load.failed++;
    }
  }
}

it("answers every request while it is attached to, traced and let go", async () => {
  const target = await Target.run(process.execPath, server);
  const port = Number((await target.line(/^ready/)).slice(6));
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const load: Load = { answered: 0, failed: 0, isOver: false };
  const asking = Array.from({ length: clients }, () => ask(port, agent, load));
  const directory = tracePath();
  const filters = ["v8::internal::Heap::*", "v8::internal::Scavenger*", "uv_*"];
  for (let round = 0; round < 2; round++) {
    const before = load.answered;
    const { status, stderr } = await patchbay(
      ...["record", "--prologues", "--duration", "1s", "-o", directory, "-p", String(target.pid)],
      ...filters.flatMap((filter) => ["-F", filter]),
    );
    expect([status, stderr]).toEqual([0, expect.stringContaining("stopped")]);
    expect(load.answered).toBeGreaterThan(before);
    expect(changedTextBytes(target.pid)).toBe(0);
  }
  const counts = countTrace(directory);
  expect(counts).toMatchObject({ backwards: 0, damages: 0, isEnded: true });
  const names = [...counts.functions.keys()];
  expect(names.some((name) => name.includes("Heap"))).toBe(true);
  expect(counts.functions.get("uv__io_poll")?.entries).toBeGreaterThan(0);
  load.isOver = true;
  await Promise.all(asking);
  agent.destroy();
  expect(load.failed).toBe(0);
  target.kill("SIGTERM");
});
