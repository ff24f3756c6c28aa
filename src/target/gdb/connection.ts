/**
 * A conversation with a GDB stub: requests and their answers, acknowledgements and their end,
 * packets that were damaged on the way, stubs that are silent or gone. What the packets mean is
 * the business of `client.ts`.
 */
import { PatchbayError } from "../../base/error.ts";
import { encodePacket, fromLatin1, type Incoming, PacketReader, toLatin1 } from "./packet.ts";

/** A two-way stream of bytes: `os/stream-socket.ts`, or a test's. */
export type Transport = Disposable & {
  /** Where it leads, for messages. */
  readonly place: string;
  /** Sends all of `bytes` (borrowed); false when the other end has closed the connection. */
  send(bytes: Uint8Array): boolean;
  /** What has come, none within `timeoutMs`, or undefined when the other end has closed it. */
  receive(timeoutMs: number): Uint8Array | undefined;
};

/** Longest wait for an answer, in ms: a busy machine is no failure. */
const answerTimeoutMs = 30_000;
/** Longest wait for a packet to be acknowledged before it is sent again, in ms, and how often. */
const ackTimeoutMs = 2000;
const sendsMax = 4;
const ackByte = Uint8Array.of(0x2b);
const nackByte = Uint8Array.of(0x2d);
const interruptByte = Uint8Array.of(0x03);

export class Connection {
  readonly place: string;
  #transport: Transport;
  #reader = new PacketReader();
  /** Packets that have come and that nobody has taken yet. */
  readonly #packets: Uint8Array[] = [];
  #acks = true;
  #isLost = false;
  /** What the last packet was acknowledged with, since it was sent. */
  #acknowledged: "ack" | "nack" | undefined;

  constructor(transport: Transport) {
    this.place = transport.place;
    this.#transport = transport;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Goes on by another connection to the same place, as if nothing had been said yet. */
  restart(transport: Transport): void {
    this.#transport[Symbol.dispose]();
    this.#transport = transport;
    this.#reader = new PacketReader();
    this.#packets.length = 0;
    this.#acks = true;
    this.#isLost = false;
  }

  /** Both ends have agreed that packets are acknowledged no more. */
  endAcknowledgements(): void {
    this.#acks = false;
  }

  /** Sends a packet; waits for its acknowledgement as long as there are any. */
  send(content: string | Uint8Array): void {
    const bytes = typeof content === "string" ? fromLatin1(content) : content;
    const packet = encodePacket(bytes);
    for (let sends = 0; sends < sendsMax; sends++) {
      this.#acknowledged = undefined;
      this.#write(packet);
      if (!this.#acks || this.#awaitAck()) return;
    }
    throw this.#failure("the stub acknowledges nothing");
  }

  /** Whether the packet has arrived; not so when it is to be sent again. */
  #awaitAck(): boolean {
    const start = performance.now();
    const packetsBefore = this.#packets.length;
    while (this.#acknowledged === undefined) {
      const left = ackTimeoutMs - (performance.now() - start);
      // An answer says as much as an acknowledgement.
      if (left <= 0 || this.#packets.length > packetsBefore) break;
      this.#pump(left);
    }
    return this.#acknowledged === "ack" || this.#packets.length > packetsBefore;
  }

  /** The byte that asks a running program to stop; no packet. */
  interrupt(): void {
    this.#write(interruptByte);
  }

  /** The next packet, or undefined when there is none within `timeoutMs`. */
  receive(timeoutMs: number): Uint8Array | undefined {
    const start = performance.now();
    for (let left = timeoutMs; ; left = timeoutMs - (performance.now() - start)) {
      if (this.#packets.length === 0) this.#pump(Math.max(0, left));
      const packet = this.#packets.shift();
      if (packet !== undefined || left <= 0) return packet;
    }
  }

  /** Sends a packet and waits for the answer to it, which has to come. */
  ask(content: string | Uint8Array): Uint8Array {
    this.send(content);
    const answer = this.receive(answerTimeoutMs);
    if (answer !== undefined) return answer;
    const asked = typeof content === "string" ? content : toLatin1(content.subarray(0, 16));
    throw this.#failure(`the stub has not answered ${asked} within ${answerTimeoutMs / 1000} s`);
  }

  #pump(timeoutMs: number): void {
    const bytes = this.#transport.receive(timeoutMs);
    if (bytes === undefined) throw this.#lost();
    for (const incoming of this.#reader.push(bytes)) this.#take(incoming);
  }

  #take(incoming: Incoming): void {
    switch (incoming.kind) {
      case "packet":
        if (this.#acks) this.#write(ackByte);
        this.#packets.push(incoming.payload);
        return;
      case "damaged":
        // Without acknowledgements nobody would send it again: the answer fails to come.
        if (this.#acks) this.#write(nackByte);
        return;
      case "ack":
      case "nack":
        this.#acknowledged = incoming.kind;
        return;
      case "notification":
        // Only non-stop mode has any, and that is not asked for.
        return;
    }
  }

  #write(bytes: Uint8Array): void {
    if (!this.#transport.send(bytes)) throw this.#lost();
  }

  #lost(): PatchbayError {
    this.#isLost = true;
    return new PatchbayError({
      code: "target-exited",
      doing: `talk to the GDB stub at ${this.place}`,
      why: "it has closed the connection",
    });
  }

  #failure(why: string): PatchbayError {
    return new PatchbayError({
      code: "system",
      doing: `talk to the GDB stub at ${this.place}`,
      why,
      hint: "is it a GDB stub, and is no debugger talking to it?",
    });
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }
}
