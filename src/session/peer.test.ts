import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PatchbayError } from "../base/error.ts";
import { Peer } from "./peer.ts";
import type { Handlers } from "./worker-rpc.ts";

/** What each end may be asked. */
type Calls = Readonly<Record<string, (...args: number[]) => unknown>>;

let folder = "";
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-peer-"));
});
afterEach(() => {
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Two ends of a connection. */
async function connect(): Promise<readonly [Socket, Socket]> {
  const path = join(folder, "socket");
  const accepted = new Promise<Socket>((resolve) => {
    server = createServer(resolve).listen(path);
  });
  const mine = createConnection(path);
  return [mine, await accepted];
}

async function pair(here: Handlers, there: Handlers) {
  const [mine, theirs] = await connect();
  return [new Peer<Calls>(mine, "there", here), new Peer<Calls>(theirs, "here", there)] as const;
}

describe("two processes", () => {
  it("call each other, one call within another", async () => {
    const twice = async (n: number): Promise<unknown> => [await there.call("half", n), n];
    const [here, there] = await pair({ half: (n: number) => n / 2 }, { twice });
    expect(await Promise.all([here.call("twice", 8), here.call("twice", 3)])).toEqual([
      [4, 8],
      [1.5, 3],
    ]);
  });

  it("are served in the order of their calls", async () => {
    const seen: number[] = [];
    const take = async (n: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, n === 0 ? 20 : 0));
      seen.push(n);
    };
    const [here] = await pair({}, { take });
    await Promise.all([0, 1, 2].map((n) => here.call("take", n)));
    expect(seen).toEqual([0, 1, 2]);
  });

  it("are told of errors as what they are", async () => {
    const refuse = (): never => {
      throw new PatchbayError({ code: "no-match", doing: "look", why: "nothing", hint: "look up" });
    };
    const [here] = await pair({}, { refuse });
    await expect(here.call("refuse")).rejects.toMatchObject({
      code: "no-match",
      message: "look: nothing (look up)",
    });
    await expect(here.call("toString")).rejects.toThrow("handler for toString");
  });

  it("learn that the other one has gone, in calls before and after", async () => {
    const [here, there] = await pair({}, { wait: () => new Promise(() => undefined) });
    const call = here.call("wait");
    await there.end();
    await expect(call).rejects.toMatchObject({ code: "owner-gone" });
    await here.closed;
    await expect(here.call("wait")).rejects.toMatchObject({ code: "owner-gone" });
  });
});

describe("what is no message", () => {
  it.each([
    "nonsense",
    "7",
    "null",
    "{}",
    '{"id":"1"}',
    '{"id":1,"call":"x"}',
    '{"id":1,"call":3}',
  ])("ends the connection: %s", async (line) => {
    const [mine, theirs] = await connect();
    const peer = new Peer<Calls>(theirs, "here", { x: () => 1 });
    mine.write(`${line}\n`);
    await peer.closed;
  });
});
