import { describe, expect, it } from "vitest";
import { GdbClient } from "./client.ts";
import type { Transport } from "./connection.ts";
import { encodePacket, fromLatin1, PacketReader, toLatin1 } from "./packet.ts";

/** A stub that answers by a table; what it is told is kept. */
class ScriptedStub implements Transport {
  readonly place = "a test";
  readonly asked: string[] = [];
  /** Bytes to be received. */
  readonly #pending: Uint8Array[] = [];
  readonly #reader = new PacketReader();
  readonly #answers: (request: string) => string | undefined;
  acks = true;
  isClosed = false;

  constructor(answers: (request: string) => string | undefined) {
    this.#answers = answers;
  }

  /** Says something that nobody has asked for. */
  say(content: string): void {
    this.#pending.push(encodePacket(fromLatin1(content)));
  }

  raw(text: string): void {
    this.#pending.push(fromLatin1(text));
  }

  send(bytes: Uint8Array): boolean {
    if (this.isClosed) return false;
    for (const one of this.#reader.push(bytes)) {
      if (one.kind !== "packet") {
        this.asked.push(one.kind);
        continue;
      }
      const request = toLatin1(one.payload);
      this.asked.push(request);
      if (this.acks) this.raw("+");
      const answer = this.#answers(request);
      if (answer !== undefined) this.say(answer);
    }
    return true;
  }

  receive(): Uint8Array | undefined {
    if (this.isClosed) return undefined;
    return this.#pending.shift() ?? new Uint8Array(0);
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
  }
}

const greeting = (request: string): string | undefined => {
  if (request.startsWith("qSupported")) return "PacketSize=60;qXfer:auxv:read+;multiprocess+";
  if (request === "vCont?") return "vCont;c;C;s;S";
  return request === "?" ? "T05thread:p1.2;" : undefined;
};

const clientOf = (answers: (request: string) => string | undefined) => {
  const stub = new ScriptedStub((request) => greeting(request) ?? answers(request));
  return { stub, client: new GdbClient(() => stub) };
};
const thread = { process: 1, thread: 2 };

describe("a client", () => {
  it("learns what the stub can do and why the program is stopped", () => {
    const { client } = clientOf(() => "");
    expect(client.features.get("PacketSize")).toBe("60");
    expect(client.stop).toMatchObject({ kind: "stopped", signal: 5, thread });
  });

  it("ends acknowledgements where the stub offers it", () => {
    const stub = new ScriptedStub((request) => {
      if (request.startsWith("qSupported")) return "QStartNoAckMode+";
      if (request === "QStartNoAckMode") return "OK";
      return greeting(request);
    });
    const client = new GdbClient(() => stub);
    stub.acks = false;
    client.interrupt();
    client.resume({ action: "continue" });
    expect(stub.asked).toEqual([
      expect.stringContaining("qSupported"),
      "ack",
      "QStartNoAckMode",
      "ack",
      "vCont?",
      "?",
      "vCont;c",
    ]);
  });

  it("reads memory in pieces that fit a packet", () => {
    const { client, stub } = clientOf((request) => {
      const match = /^m([0-9a-f]+),([0-9a-f]+)$/.exec(request);
      return match === null ? "" : "a5".repeat(Number.parseInt(match[2] ?? "", 16));
    });
    expect(client.readMemory(0x1000n, 100)).toEqual(new Uint8Array(100).fill(0xa5));
    expect(stub.asked.filter((one) => one.startsWith("m"))).toEqual(["m1000,40", "m1040,24"]);
  });

  it("writes memory as hexadecimal digits where the stub takes no bytes", () => {
    const { client, stub } = clientOf((request) => (request.startsWith("X") ? "" : "OK"));
    client.writeMemory(0x10n, Uint8Array.of(1, 0x7d));
    client.writeMemory(0x20n, Uint8Array.of(2));
    expect(stub.asked.filter((one) => /^[XM]/.test(one))).toEqual([
      "X10,2:\x01}",
      "M10,2:017d",
      "M20,1:02",
    ]);
  });

  it("says what the stub has said against it", () => {
    const { client } = clientOf((request) => (request.startsWith("m") ? "E14" : "E.no such thing"));
    expect(() => client.readMemory(0x10n, 4)).toThrow(
      "read 4 bytes at 0x10: the stub says error 14",
    );
    expect(() => client.insertBreakpoint(0x10n, 4)).toThrow("the stub says no such thing");
  });

  it("looks at one thread after the other", () => {
    const { client, stub } = clientOf((request) => (request.startsWith("H") ? "OK" : "00ff"));
    client.readRegisters(thread);
    client.readRegisters(thread);
    client.readRegisters({ ...thread, thread: 3 });
    expect(stub.asked.filter((one) => /^(?:H|g$)/.test(one))).toEqual([
      "Hgp1.2",
      "g",
      "g",
      "Hgp1.3",
      "g",
    ]);
  });

  it("lists threads over several packets", () => {
    const lists = new Map([
      ["qfThreadInfo", "mp1.2,p1.3"],
      ["qsThreadInfo", "mp1.4"],
    ]);
    const { client } = clientOf((request) => {
      const answer = lists.get(request) ?? "l";
      lists.delete(request);
      return answer;
    });
    expect(client.threads().map(({ thread: id }) => id)).toEqual([2, 3, 4]);
  });

  it("passes over what is no stop, and knows that the program runs", () => {
    const { client, stub } = clientOf(() => undefined);
    client.resume({ action: "continue", thread, signal: 10 });
    expect([client.stop, stub.asked.at(-1)]).toEqual([undefined, "vCont;C0a:p1.2"]);
    stub.say("O6869");
    expect(client.waitStop(0)).toBeUndefined();
    stub.say("W2a");
    expect(client.waitStop(1000)).toEqual({ kind: "exited", status: 42 });
    expect(client.stop).toEqual({ kind: "exited", status: 42 });
  });

  it("joins an object's pieces", () => {
    const { client } = clientOf((request) => {
      const offset = /,|:([0-9a-f]+),[0-9a-f]+$/.exec(request)?.[1];
      return offset === "0" ? "m\x01\0\0\0\0\0\0\0" : "l\x05\0\0\0\0\0\0\0";
    });
    expect([...client.auxiliaryVector()]).toEqual([[1, 5n]]);
  });

  it("asks once more what can be asked twice where the connection was lost", () => {
    const stubs: ScriptedStub[] = [];
    const client = new GdbClient(() => {
      const stub = new ScriptedStub((request) => greeting(request) ?? "00ff");
      stubs.push(stub);
      return stub;
    });
    stubs[0]?.[Symbol.dispose]();
    expect(client.readMemory(0n, 2)).toEqual(Uint8Array.of(0, 255));
    expect(stubs.length).toBe(2);
    stubs[1]?.[Symbol.dispose]();
    expect(() => client.writeMemory(0n, Uint8Array.of(0))).toThrow("has closed the connection");
  });

  it("asks again for what was damaged, and sends again what was", () => {
    let damaged = true;
    const { client, stub } = clientOf((request) => {
      if (request !== "qC" || !damaged) return "QCp1.2";
      damaged = false;
      stub.raw("-");
      return undefined;
    });
    stub.acks = false;
    expect(client.currentThread()).toEqual(thread);
    expect(stub.asked.filter((one) => one === "qC").length).toBe(2);
    stub.raw("$QC1#00");
    stub.say("QC3");
    expect(client.currentThread()).toEqual({ process: undefined, thread: 3 });
    expect(stub.asked).toContain("nack");
  });
});
