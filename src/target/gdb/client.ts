/**
 * A client of the GDB remote serial protocol (GDB manual, appendix E): memory, registers, threads,
 * running and stopping, and what a stub knows of the program. In all-stop terms: requests may be
 * made while the program is stopped; while it runs there is `interrupt` and `waitStop`.
 */
import { PatchbayError } from "../../base/error.ts";
import { Connection, type Transport } from "./connection.ts";
import { escapeBinary, fromHex, fromLatin1, toHex, toLatin1 } from "./packet.ts";
import {
  formatThreadId,
  parseStopReply,
  parseThreadId,
  type StopReply,
  type ThreadId,
} from "./stop-reply.ts";
import {
  parseTargetDescription,
  type RegisterPlace,
  type TargetDescription,
} from "./target-description.ts";

/** What we say that we can do. */
const ourFeatures = "multiprocess+;swbreak+;hwbreak+;vContSupported+;no-resumed+;xmlRegisters=i386";
/** Where a stub does not say how much it takes at once, in bytes. */
const packetBytesDefault = 400;
/** Around the contents of a packet. */
const packetOverhead = 32;

/** How a thread, or all of them, is to go on. */
export type Resumption = {
  readonly action: "continue" | "step";
  /** GDB's number of a signal that it is to get; none when it is 0. */
  readonly signal?: number;
  /** That one alone, as far as the stub can tell them apart; all when it is absent. */
  readonly thread?: ThreadId;
};

export class GdbClient {
  readonly #connection: Connection;
  readonly #connect: () => Transport;
  #features: ReadonlyMap<string, string> = new Map();
  #actions: ReadonlySet<string> = new Set();
  #description: TargetDescription | undefined;
  /** Whom requests for registers are about at present. */
  #selected: string | undefined;
  /** Requests that this stub has answered with nothing: it knows them not. */
  readonly #unknown = new Set<string>();
  #stop: StopReply | undefined;

  /** @param connect makes a connection to the stub, now and when that is lost. */
  constructor(connect: () => Transport) {
    this.#connect = connect;
    this.#connection = new Connection(connect());
    this.#greet();
  }

  get place(): string {
    return this.#connection.place;
  }

  /** Why the program is stopped; undefined while it runs. */
  get stop(): StopReply | undefined {
    return this.#stop;
  }

  /** What the stub has said that it can do: name to value, `+`, `-` or `?`. */
  get features(): ReadonlyMap<string, string> {
    return this.#features;
  }

  #greet(): void {
    const features = new Map<string, string>();
    for (const word of this.#text(`qSupported:${ourFeatures}`).split(";")) {
      const equals = word.indexOf("=");
      if (equals > 0) features.set(word.slice(0, equals), word.slice(equals + 1));
      else if (word !== "") features.set(word.slice(0, -1), word.slice(-1));
    }
    this.#features = features;
    if (this.#has("QStartNoAckMode") && this.#text("QStartNoAckMode") === "OK") {
      this.#connection.endAcknowledgements();
    }
    const actions = this.#text("vCont?");
    this.#actions = new Set(actions.startsWith("vCont") ? actions.split(";").slice(1) : []);
    this.#selected = undefined;
    this.#stop = parseStopReply(this.#connection.ask("?"));
  }

  /** Connects once more after the connection was lost: the stub may still have the program. */
  reconnect(): void {
    this.#connection.restart(this.#connect());
    this.#greet();
  }

  #has(feature: string): boolean {
    return this.#features.get(feature) === "+";
  }

  #text(request: string | Uint8Array): string {
    return toLatin1(this.#connection.ask(request));
  }

  /** Asks for something that can be asked again, and does so when the connection was lost. */
  #askSafely(request: string): Uint8Array {
    try {
      return this.#connection.ask(request);
    } catch (error) {
      if (!this.#connection.isLost) throw error;
      try {
        this.reconnect();
      } catch {
        throw error;
      }
      return this.#connection.ask(request);
    }
  }

  #failure(doing: string, answer: string): PatchbayError {
    const text = answer.startsWith("E.") ? answer.slice(2) : `error ${answer.slice(1)}`;
    const why = answer === "" ? "the stub does not know that request" : `the stub says ${text}`;
    return new PatchbayError({ code: answer === "" ? "unsupported" : "system", doing, why });
  }

  #must(doing: string, answer: string): void {
    if (answer !== "OK") throw this.#failure(doing, answer);
  }

  // Memory.

  /** Bytes of memory that one packet may carry as hexadecimal digits. */
  get #chunkBytes(): number {
    const size = Number.parseInt(this.#features.get("PacketSize") ?? "0", 16);
    return Math.max(64, ((size === 0 ? packetBytesDefault : size) - packetOverhead) >> 1);
  }

  readMemory(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const from = address + BigInt(at);
      const wanted = Math.min(this.#chunkBytes, length - at);
      const answer = toLatin1(this.#askSafely(`m${from.toString(16)},${wanted.toString(16)}`));
      const part = answer.startsWith("E") ? undefined : fromHex(answer);
      if (part === undefined || part.length === 0 || part.length > wanted) {
        throw this.#failure(`read ${wanted} bytes at 0x${from.toString(16)}`, answer);
      }
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** Writes `bytes` (borrowed). */
  writeMemory(address: bigint, bytes: Uint8Array): void {
    const step = this.#chunkBytes;
    for (let at = 0; at < bytes.length; at += step) {
      this.#writePart(address + BigInt(at), bytes.subarray(at, at + step));
    }
  }

  #writePart(address: bigint, bytes: Uint8Array): void {
    const doing = `write ${bytes.length} bytes at 0x${address.toString(16)}`;
    const place = `${address.toString(16)},${bytes.length.toString(16)}:`;
    if (!this.#unknown.has("X")) {
      const head = fromLatin1(`X${place}`);
      const body = escapeBinary(bytes);
      const request = new Uint8Array(head.length + body.length);
      request.set(head);
      request.set(body, head.length);
      const answer = this.#text(request);
      if (answer !== "") {
        this.#must(doing, answer);
        return;
      }
      this.#unknown.add("X");
    }
    this.#must(doing, this.#text(`M${place}${toHex(bytes)}`));
  }

  /** Makes a thread stop before it executes the instruction at `address`. */
  insertBreakpoint(address: bigint, kind: number): void {
    const request = `Z0,${address.toString(16)},${kind.toString(16)}`;
    this.#must(`stop at 0x${address.toString(16)}`, this.#text(request));
  }

  removeBreakpoint(address: bigint, kind: number): void {
    const request = `z0,${address.toString(16)},${kind.toString(16)}`;
    this.#must(`take the stop at 0x${address.toString(16)} away`, this.#text(request));
  }

  // Registers.

  /** Which registers there are; asked for once. */
  get description(): TargetDescription {
    this.#description ??= this.#describe();
    return this.#description;
  }

  #describe(): TargetDescription {
    const text = (name: string): string | undefined => {
      const bytes = this.transfer("features", name);
      return bytes === undefined ? undefined : toLatin1(bytes);
    };
    const xml = text("target.xml");
    if (xml !== undefined) return parseTargetDescription(xml, text);
    throw new PatchbayError({
      code: "unsupported",
      doing: `ask the GDB stub at ${this.place} which registers there are`,
      why: "it does not say",
      hint: "stubs without qXfer:features:read are not supported",
    });
  }

  #select(thread: ThreadId): void {
    const id = formatThreadId(thread);
    if (this.#selected === id) return;
    this.#must(`look at thread ${id}`, this.#text(`Hg${id}`));
    this.#selected = id;
  }

  /** The bytes of `g`: the registers in the order of their numbers, as far as it goes. */
  readRegisters(thread: ThreadId): Uint8Array {
    this.#select(thread);
    const answer = this.#text("g");
    // What the stub does not know of a register is written as x; nobody uses those.
    const bytes = answer.startsWith("E") ? undefined : fromHex(answer.replaceAll("x", "0"));
    if (bytes === undefined || bytes.length === 0) throw this.#failure("read registers", answer);
    return bytes;
  }

  writeRegisters(thread: ThreadId, bytes: Uint8Array): void {
    this.#select(thread);
    this.#must("write registers", this.#text(`G${toHex(bytes)}`));
  }

  /** One register, which may be one that `g` does not reach; gdbserver knows `g` alone. */
  readRegister(thread: ThreadId, place: RegisterPlace): Uint8Array {
    const { name, number, offset, bytes: size } = place;
    this.#select(thread);
    const answer = this.#text(`p${number.toString(16)}`);
    if (answer === "") {
      const all = this.readRegisters(thread);
      if (offset + size <= all.length) return all.slice(offset, offset + size);
    }
    const bytes = answer.startsWith("E") ? undefined : fromHex(answer.replaceAll("x", "0"));
    if (bytes === undefined || bytes.length === 0) throw this.#failure(`read ${name}`, answer);
    return bytes;
  }

  writeRegister(thread: ThreadId, { name, number }: RegisterPlace, bytes: Uint8Array): void {
    this.#select(thread);
    const request = `P${number.toString(16)}=${toHex(bytes)}`;
    this.#must(`write ${name}`, this.#text(request));
  }

  // Threads.

  /** All threads that the stub knows. */
  threads(): readonly ThreadId[] {
    const found: ThreadId[] = [];
    let answer = toLatin1(this.#askSafely("qfThreadInfo"));
    while (answer.startsWith("m")) {
      for (const word of answer.slice(1).split(",")) {
        const id = parseThreadId(word);
        if (id !== undefined) found.push(id);
      }
      answer = this.#text("qsThreadInfo");
    }
    return found;
  }

  /** The thread that requests are about when none is named. */
  currentThread(): ThreadId | undefined {
    const answer = this.#text("qC");
    return answer.startsWith("QC") ? parseThreadId(answer.slice(2)) : undefined;
  }

  isAlive(thread: ThreadId): boolean {
    return this.#text(`T${formatThreadId(thread)}`) === "OK";
  }

  // Objects.

  /** A whole object of the stub's (`qXfer:OBJECT:read`); undefined where it has none such. */
  transfer(object: string, annex: string): Uint8Array | undefined {
    if (!this.#has(`qXfer:${object}:read`)) return undefined;
    const parts: Uint8Array[] = [];
    for (let offset = 0; ; ) {
      const place = `${offset.toString(16)},${(this.#chunkBytes * 2 - 1).toString(16)}`;
      const answer = this.#askSafely(`qXfer:${object}:read:${annex}:${place}`);
      const kind = String.fromCharCode(answer[0] ?? 0);
      if (kind !== "m" && kind !== "l") return undefined;
      parts.push(answer.subarray(1));
      offset += answer.length - 1;
      if (kind === "l" || answer.length === 1) return joined(parts, offset);
    }
  }

  /** The auxiliary vector (AT_* to value) of a program with words of 8 bytes. */
  auxiliaryVector(): ReadonlyMap<number, bigint> {
    const entries = new Map<number, bigint>();
    const bytes = this.transfer("auxv", "");
    if (bytes === undefined) return entries;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 16 <= bytes.length; at += 16) {
      entries.set(Number(view.getBigUint64(at, true)), view.getBigUint64(at + 8, true));
    }
    return entries;
  }

  /** Path of the program's file, where the stub tells it. */
  executable(): string | undefined {
    const bytes = this.transfer("exec-file", "");
    return bytes === undefined || bytes.length === 0 ? undefined : toLatin1(bytes);
  }

  // Running.

  /** Lets the program, or one thread of it, go on. */
  resume({ action, signal = 0, thread }: Resumption): void {
    const letter = action === "step" ? "s" : "c";
    const upper = letter.toUpperCase();
    const word = signal === 0 ? letter : `${upper}${signal.toString(16).padStart(2, "0")}`;
    const known = this.#actions.has(signal === 0 ? letter : upper);
    if (known) {
      const target = thread === undefined ? "" : `:${formatThreadId(thread)}`;
      this.#connection.send(`vCont;${word}${target}`);
    } else {
      if (thread !== undefined) this.#text(`Hc${formatThreadId(thread)}`);
      this.#connection.send(word);
    }
    this.#stop = undefined;
  }

  /** Asks the running program to stop; whether and when it does, `waitStop` tells. */
  interrupt(): void {
    this.#connection.interrupt();
  }

  /**
   * Why the program has stopped, or undefined when it has not within `timeoutMs`. Threads that
   * have ended meanwhile and text that was written are no stops.
   */
  waitStop(timeoutMs: number): StopReply | undefined {
    const start = performance.now();
    for (;;) {
      const left = Math.max(0, timeoutMs - (performance.now() - start));
      const packet = this.#connection.receive(left);
      if (packet === undefined) return undefined;
      const reply = parseStopReply(packet);
      if (reply === undefined || reply.kind === "output" || reply.kind === "thread-exited")
        continue;
      this.#stop = reply;
      this.#selected = undefined;
      return reply;
    }
  }

  /** Lets the program go for good; the stub may end with that. */
  detach(process: number | undefined): void {
    this.#must("detach", this.#text(process === undefined ? "D" : `D;${process.toString(16)}`));
    this.#stop = undefined;
  }

  /** Ends the program; there is no answer. */
  kill(): void {
    this.#connection.send("k");
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
