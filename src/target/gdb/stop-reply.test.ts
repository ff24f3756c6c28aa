import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromLatin1 } from "./packet.ts";
import { formatThreadId, linuxSignal, parseStopReply, parseThreadId } from "./stop-reply.ts";

const parse = (text: string) => parseStopReply(fromLatin1(text));

describe("stop replies", () => {
  it("say which thread has got which signal", () => {
    expect(parse("T02thread:p01.42b3;")).toEqual({
      kind: "stopped",
      signal: 2,
      thread: { process: 1, thread: 0x42b3 },
      notes: new Map(),
    });
    expect(parse("S05")).toMatchObject({ signal: 5, thread: undefined });
  });

  it("keep what else they say", () => {
    const reply = parse("T0506:c0e3ffff;07:00;thread:1f;core:3;library:;");
    expect(reply).toMatchObject({ signal: 5, thread: { process: undefined, thread: 31 } });
    expect(reply?.kind === "stopped" && [...reply.notes.keys()]).toEqual([
      "06",
      "07",
      "core",
      "library",
    ]);
  });

  it("say how a program or a thread has ended", () => {
    expect(parse("W07")).toEqual({ kind: "exited", status: 7 });
    expect(parse("W2a;process:1")).toEqual({ kind: "exited", status: 42 });
    expect(parse("X0b;process:9")).toEqual({ kind: "killed", signal: 11 });
    expect(parse("w0;p1.2")).toEqual({
      kind: "thread-exited",
      thread: { process: 1, thread: 2 },
    });
    expect(parse("N")).toEqual({ kind: "no-threads" });
  });

  it("are told apart from output and from anything else", () => {
    expect(parse("O68690a")).toEqual({ kind: "output", text: "hi\n" });
    for (const other of ["OK", "", "E01", "Txx", "Wzz", "l", "m1"]) {
      expect(parse(other)).toBeUndefined();
    }
  });

  it("never make us fail", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        parseStopReply(bytes);
      }),
    );
  });
});

describe("thread ids", () => {
  it("are written as they are read", () => {
    const ids = fc.record({
      process: fc.option(fc.nat(), { nil: undefined }),
      thread: fc.nat(),
    });
    fc.assert(
      fc.property(ids, (id) => {
        expect(parseThreadId(formatThreadId(id))).toEqual(id);
      }),
    );
    expect([parseThreadId("-1"), parseThreadId(""), parseThreadId("p1.-1")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("signals", () => {
  it("have Linux' numbers in the end", () => {
    // GDB's SIGSEGV, SIGBUS, SIGUSR1, SIGCHLD, SIGWINCH, SIG34.
    expect([11, 10, 30, 20, 28, 46].map(linuxSignal)).toEqual([11, 7, 10, 17, 28, 34]);
  });
});
