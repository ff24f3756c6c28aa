/**
 * redis-server and nginx as Debian installs them, stripped, under load: attached to with all of
 * their functions traced, and let go, twice; every request is answered as it should be.
 */
import { writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { isSoak, patchbay, Target, tempDir, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const rounds = isSoak ? 10 : 2;
const patienceMs = isSoak ? 900_000 : 300_000;

/** What the clients have seen so far. */
type Load = { answered: number; failed: number; isOver: boolean };

/** Keeps asking by `ask`, which says whether the answer was right, until the load is over. */
async function keepAsking(load: Load, ask: (n: number) => Promise<boolean>): Promise<void> {
  for (let n = 0; !load.isOver; n++) {
    const isRight = await ask(n).catch(() => false);
    if (isRight) load.answered++;
    else load.failed++;
  }
}

/** Waits until a first request is answered. */
async function isUp(ask: (n: number) => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await ask(0).catch(() => false)) return;
    await sleep(100);
  }
  throw new Error("the server does not answer");
}

/** Traces the server with all its functions while clients ask, and looks at what is left. */
async function traceUnderLoad(target: Target, asks: readonly ((n: number) => Promise<boolean>)[]) {
  const load: Load = { answered: 0, failed: 0, isOver: false };
  const asking = asks.map((ask) => keepAsking(load, ask));
  const directory = tracePath();
  try {
    for (let round = 0; round < rounds; round++) {
      const before = load.answered;
      const rings = ["--flight-recorder", "--ring-size", "1M"];
      const { status, stderr } = await patchbay(
        ...["record", "--prologues", "--duration", "1s", ...rings],
        ...["-o", directory, "-p", String(target.pid)],
      );
      expect([status, stderr]).toEqual([0, expect.stringContaining("stopped")]);
      expect(load.answered).toBeGreaterThan(before);
      expect(changedTextBytes(target.pid)).toBe(0);
    }
  } finally {
    load.isOver = true;
    await Promise.all(asking);
  }
  expect(load.failed).toBe(0);
  expect(countTrace(directory)).toMatchObject({ backwards: 0, damages: 0, isEnded: true });
  return countTrace(directory).functions;
}

describe("servers under load", () => {
  it("nginx serves every file", { timeout: patienceMs }, async () => {
    const directory = tempDir("nginx");
    const socketPath = join(directory, "socket");
    const page = "x".repeat(9_000);
    writeFileSync(join(directory, "page"), page);
    const config = `daemon off; master_process off; pid ${directory}/pid;
      error_log ${directory}/log;
      events {} http { access_log off; client_body_temp_path ${directory}/body;
      server { listen unix:${socketPath}; root ${directory}; } }`;
    writeFileSync(join(directory, "conf"), config);
    const target = await Target.run("/usr/sbin/nginx", "-c", join(directory, "conf"));
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const ask = (): Promise<boolean> =>
      new Promise((resolve, reject) => {
        get({ socketPath, path: "/page", agent }, (response) => {
          let body = "";
          response.setEncoding("latin1").on("data", (part: string) => {
            body += part;
          });
          response.on("end", () => resolve(body === page)).on("error", reject);
        }).on("error", reject);
      });
    await isUp(ask);
    const functions = await traceUnderLoad(target, [ask, ask, ask, ask]);
    agent.destroy();
    expect(functions.size).toBeGreaterThan(100);
    target.kill("SIGQUIT");
  });

  it("redis answers every command", { timeout: patienceMs }, async () => {
    const directory = tempDir("redis");
    const path = join(directory, "socket");
    const options = ["--port", "0", "--unixsocket", path, "--dir", directory, "--save", ""];
    const target = await Target.run("/usr/bin/redis-server", ...options);
    /** A client that sends one command after the other, each with its expected answer. */
    const client = (key: string) => {
      let socket: ReturnType<typeof connect> | undefined;
      return (n: number): Promise<boolean> =>
        new Promise((resolve, reject) => {
          if (socket === undefined || socket.destroyed) socket = connect(path);
          const value = `${key}-${n}`;
          const list = `DEL l${key}\r\nRPUSH l${key} c a ${n}\r\nSORT l${key} ALPHA LIMIT 2 1\r\n`;
          const expected = `+OK\r\n$${value.length}\r\n${value}\r\n`;
          let answer = "";
          const isDone = (): boolean => answer.startsWith(expected) && answer.endsWith("c\r\n");
          const take = (part: Buffer): void => {
            answer += part.toString("latin1");
            const isWrong = !expected.startsWith(answer.slice(0, expected.length));
            if (!isDone() && !isWrong) return;
            socket?.off("data", take).off("error", reject);
            resolve(isDone());
          };
          socket.on("data", take).once("error", reject);
          socket.write(`SET ${key} ${value}\r\nGET ${key}\r\n${list}`);
        });
    };
    const clients = ["a", "b", "c", "d"].map(client);
    await isUp(client("first"));
    const functions = await traceUnderLoad(target, clients);
    expect(functions.size).toBeGreaterThan(100);
    target.kill("SIGTERM");
  });
});
