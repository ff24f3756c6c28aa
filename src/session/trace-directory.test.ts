import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PatchbayError } from "../base/error.ts";
import { readInfo } from "../report/info.ts";
import { reportTrace } from "../report/report.ts";
import { encodeEvent } from "../ring/event.ts";
import { packetHeaderBytes } from "../trace/packet.ts";
import type { SessionStart } from "../trace/session.ts";
import { openTrace } from "./open-trace.ts";
import { createTraceDirectory, type PacketDraft } from "./trace-directory.ts";

let home = "";
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "patchbay-trace-"));
});
afterAll(() => rmSync(home, { recursive: true }));

const start: SessionStart = {
  tool: "patchbay test",
  command: ["prog"],
  pid: 42,
  architecture: "x86-64",
  clock: { frequencyHz: 1_000_000_000, ticks: 0n, wallNs: 0n },
  modules: [],
  options: {},
};

const draft = (time: bigint): PacketDraft => ({
  begin: time,
  end: time + 1n,
  lost: 0,
  lostEntries: 0,
  lostExits: 0,
  lossPlace: 0,
  tid: 7,
  pid: 42,
  image: 0,
  threadName: "prog",
});
/** An entry and an exit of site 1. */
const call = (time: bigint): Uint8Array =>
  new Uint8Array(
    new BigUint64Array([encodeEvent(0, time, 1), encodeEvent(1, time + 1n, 1)]).buffer,
  );
const named = { site: 1, name: "work", module: "", address: 0n };

const errorOf = (work: () => unknown): PatchbayError => {
  try {
    work();
  } catch (error) {
    if (error instanceof PatchbayError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("a trace directory", () => {
  it("can be read at every moment of its making, and after its maker is gone", () => {
    const dir = join(home, "live");
    const trace = createTraceDirectory(dir, start);
    expect(readInfo(openTrace(dir))).toMatchObject({ functions: 0, began: undefined, bytes: 0 });
    trace.addFunctions([named]);
    const stream = trace.stream(7);
    expect(reportTrace(openTrace(dir)).reports[0]?.functions).toEqual([]);
    expect(stream.append(draft(5n), [call(5n)])).toBe(packetHeaderBytes + 16);
    const during = openTrace(dir);
    stream.append(draft(8n), [call(8n), call(10n)]);
    expect(reportTrace(during).reports[0]?.functions).toMatchObject([{ name: "work", calls: 3 }]);
    expect(trace.bytesWritten).toBe(statSync(join(dir, "thread-7")).size);
    trace.close();
    expect(readInfo(openTrace(dir)).ended).toBeUndefined();
  });

  it("says how recording ended, with the better clock", () => {
    const dir = join(home, "ended");
    const trace = createTraceDirectory(dir, start);
    trace.stream(7).append(draft(5n), [call(5n)]);
    const clock = { ...start.clock, frequencyHz: 500_000_000 };
    trace.finish({ wallNs: 9n, reason: "detached", clock });
    expect(readInfo(openTrace(dir))).toMatchObject({ ended: "detached", clockHz: 500_000_000 });
    expect(reportTrace(openTrace(dir)).reports[0]?.functions).toMatchObject([{ totalNs: 2 }]);
    expect(readFileSync(join(dir, "metadata"), "utf8")).toContain("freq = 500000000;");
    expect(readdirSync(join(dir, "patchbay")).sort()).toEqual(["functions.ndjson", "session.json"]);
  });

  it("gives threads with the same id files of their own", () => {
    const dir = join(home, "twins");
    const trace = createTraceDirectory(dir, start);
    for (const time of [5n, 50n, 500n]) {
      const stream = trace.stream(7);
      stream.append(draft(time), [call(time)]);
      stream.close();
    }
    trace.close();
    expect(openTrace(dir).streams.map((stream) => stream.name)).toEqual([
      "thread-7",
      "thread-7.2",
      "thread-7.3",
    ]);
    expect(reportTrace(openTrace(dir)).reports[0]?.functions).toMatchObject([{ calls: 3 }]);
  });

  it("moves an older trace out of the way, and leaves everything else alone", () => {
    const dir = join(home, "again");
    createTraceDirectory(dir, { ...start, command: ["first"] }).close();
    createTraceDirectory(dir, { ...start, command: ["second"] }).close();
    createTraceDirectory(`${dir}/`, { ...start, command: ["third"] }).close();
    expect(openTrace(dir).session.command).toEqual(["third"]);
    expect(openTrace(`${dir}.old`).session.command).toEqual(["second"]);

    const mine = join(home, "mine");
    mkdirSync(mine);
    createTraceDirectory(mine, start).close();
    const other = join(home, "other");
    mkdirSync(other);
    writeFileSync(join(other, "thesis.txt"), "");
    expect(errorOf(() => createTraceDirectory(other, start)).message).toMatch(/other files/);
    expect(readdirSync(other)).toEqual(["thesis.txt"]);
  });

  it("cannot be made where there is a file, or nowhere", () => {
    const file = join(home, "file");
    writeFileSync(file, "");
    expect(errorOf(() => createTraceDirectory(file, start))).toMatchObject({ code: "io" });
    expect(errorOf(() => createTraceDirectory(join(file, "a"), start))).toMatchObject({
      code: "io",
    });
    expect(existsSync(file)).toBe(true);
  });
});

describe("a full disk", () => {
  it("ends the file with its last whole packet, and is told as what it is", () => {
    const dir = join(home, "full");
    // No file may become larger than 64 KiB; a packet of 30,000 bytes fits in twice.
    const program = `
      const { createTraceDirectory } = await import("./src/session/trace-directory.ts");
      const start = { ...${JSON.stringify({ ...start, clock: undefined })} };
      start.clock = { frequencyHz: 1e9, ticks: 0n, wallNs: 0n };
      const trace = createTraceDirectory(${JSON.stringify(dir)}, start);
      const stream = trace.stream(7);
      const draft = { lost: 0, lostEntries: 0, lostExits: 0, lossPlace: 0, tid: 7, pid: 1 };
      try {
        for (let time = 0n; ; time += 10n) {
          const packet = { ...draft, begin: time, end: time, threadName: "" };
          stream.append(packet, [new Uint8Array(10_000), new Uint8Array(20_000)]);
        }
      } catch (error) {
        console.log(JSON.stringify(error), trace.bytesWritten);
      }`;
    const { stdout, stderr } = spawnSync(
      "bash",
      [
        "-c",
        'trap "" XFSZ; ulimit -f 64; exec "$0" --import tsx --input-type=module -e "$1"',
      ].concat(process.execPath, program),
      { encoding: "utf8" },
    );
    expect(stdout, stderr).toMatch(/^\{"code":"disk-full","doing":"write to .*thread-7"/);
    const written = 2 * (packetHeaderBytes + 30_000);
    expect(stdout).toContain(` ${written}\n`);
    expect(statSync(join(dir, "thread-7")).size).toBe(written);
    expect(readInfo(openTrace(dir)).summary.threads).toMatchObject([{ packets: 2, tornBytes: 0 }]);
  });
});

describe("opening a trace", () => {
  const codeOf = (path: string): string => errorOf(() => openTrace(path)).code;

  it("fails in one line where there is none", () => {
    const empty = join(home, "empty");
    mkdirSync(empty);
    const missing = errorOf(() => openTrace(join(home, "missing")));
    expect(missing.message).toMatch(/there is no such directory/);
    expect(missing.code).toBe("bad-trace");
    expect(errorOf(() => openTrace(empty)).message).toMatch(/no Patchbay trace/);
    writeFileSync(join(home, "plain"), "");
    expect(codeOf(join(home, "plain"))).toBe("bad-trace");
  });

  it("fails where session.json is damaged, and does without the functions' file", () => {
    const dir = join(home, "damaged");
    const trace = createTraceDirectory(dir, start);
    trace.stream(7).append(draft(5n), [call(5n)]);
    trace.close();
    rmSync(join(dir, "patchbay/functions.ndjson"));
    expect(reportTrace(openTrace(dir)).reports[0]?.functions).toMatchObject([{ name: "site 1" }]);
    const session = join(dir, "patchbay/session.json");
    writeFileSync(session, readFileSync(session).subarray(0, 100));
    expect(errorOf(() => openTrace(dir)).message).toMatch(/session.json is damaged/);
  });

  it("takes files that are no streams for damaged ones", () => {
    const dir = join(home, "strange");
    createTraceDirectory(dir, start).close();
    writeFileSync(join(dir, "notes.txt"), "x".repeat(1000));
    writeFileSync(join(dir, "short"), "x");
    const info = readInfo(openTrace(dir));
    expect(info.summary.threads).toMatchObject([
      { file: "notes.txt", packets: 0, damages: [{ offset: 0 }] },
      { file: "short", packets: 0, tornBytes: 1 },
    ]);
    expect(reportTrace(openTrace(dir)).reports[0]?.functions).toEqual([]);
  });
});
