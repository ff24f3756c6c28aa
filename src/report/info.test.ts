import { describe, expect, it } from "vitest";
import { packetOf, testSession, traceOf } from "../../test/support/trace-builder.ts";
import { eventKind } from "../ring/layout.ts";
import { formatInfo, readInfo } from "./info.ts";
import { plain } from "./table.ts";

const entry = (time: number) => ({ kind: eventKind.entry, time, site: 0 });

describe("info", () => {
  const trace = {
    ...traceOf([
      { tid: 7, name: "main", packets: [packetOf([entry(2_000_000), entry(5_000_000)])] },
      {
        tid: 8,
        name: "worker",
        packets: [
          packetOf([entry(3_000_000)]),
          packetOf([entry(4_000_000)], {
            lost: { entries: 1000, exits: 500, all: 1500 },
            place: 1,
          }),
        ],
      },
    ]),
    session: {
      ...testSession,
      host: "machine",
      modules: [{ path: "/bin/program", buildId: "abcd" }, { path: "/lib/libc.so" }],
      options: { filter: ["a*"], ring: "4M" },
      end: { wallNs: 0n, reason: "detached", ringlessEntries: 2, ringlessExits: 1 },
    },
  };

  it("tells a person what was recorded, where, and what was lost", () => {
    expect(formatInfo(readInfo(trace), plain)).toEqual([
      "command   ./program --with arguments",
      "process   100, x86-64, on machine",
      "began     2023-11-14T22:13:20.002Z",
      "ended     detached",
      "recorded  4 events of 2 threads in 3.000 ms, 368 B",
      "lost      1,500 events",
      "functions 0 functions of",
      "          /bin/program, build-id abcd",
      "          /lib/libc.so",
      'options   filter ["a*"], ring 4M',
      "clock     1000.000 MHz",
      "by        patchbay test",
      "",
      "thread  events   lost    begins      ends  packets  name",
      "     7       2      -      0 ns  3.000 ms        1  main",
      "     8       2  1,500  1.000 ms  2.000 ms        2  worker",
      "1,500 events lost in 1 thread (1,000 entries, 500 exits): " +
        "no duration is given where one of them could change it",
      "3 events of threads that found no ring: not recorded",
    ]);
  });

  it("of an empty trace that nobody finished says so", () => {
    const lines = formatInfo(readInfo(traceOf([])), plain);
    expect(lines).toContain("ended     not yet, or recording was cut short");
    expect(lines).toContain("recorded  0 events of 0 threads in 0 ns, 0 B");
    expect(lines.join("\n")).not.toContain("began");
  });

  it("survives JSON", () => {
    const info = readInfo(trace);
    expect(JSON.parse(JSON.stringify(info))).toEqual(info);
  });
});
