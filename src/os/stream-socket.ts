/**
 * Connected stream sockets for code that waits: a worker that talks to a stub has nothing else to
 * do meanwhile. Local ones by their path, TCP ones by address and port.
 */
import { readSync, writeSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { PatchbayError } from "../base/error.ts";
import { close, connect, errno, poll, socket, systemError } from "./libc.ts";

const family = { unix: 1, inet: 2, inet6: 10 } as const;
const streamCloseOnExec = 1 | 0o2000000;
const pathBytesMax = 107;
const pollIn = 1;

type Address = { readonly family: number; readonly bytes: Uint8Array };

function withFamily(number: number, rest: readonly number[]): Address {
  return { family: number, bytes: Uint8Array.from([number & 0xff, number >> 8, ...rest]) };
}

/** The 16 bytes of an IPv6 address in any of its spellings. */
function bytesOfIPv6(host: string): readonly number[] {
  const { hostname } = new URL(`http://[${host}]`);
  const [head = "", tail] = hostname.slice(1, -1).split("::");
  const groups = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return all.flatMap((group) => [group >> 8, group & 0xff]);
}

/** The address that `place` names: a path (with a slash in it), or `HOST:PORT`. */
function parsePlace(place: string): Address {
  const doing = `connect to ${place}`;
  if (place.includes("/")) {
    const path = Buffer.from(place, "utf8");
    if (path.length <= pathBytesMax) return withFamily(family.unix, [...path, 0]);
    throw new PatchbayError({ code: "bad-usage", doing, why: "the path is too long for a socket" });
  }
  const match = /^(?:\[(.+)\]|([^:]*)):(\d+)$/.exec(place);
  const named = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3] ?? -1);
  const host = named === "" || named === "localhost" ? "127.0.0.1" : named;
  const portBytes = [port >> 8, port & 0xff];
  if (match !== null && port > 0 && port < 65_536) {
    if (isIPv4(host)) {
      const numbers = host.split(".").map(Number);
      return withFamily(family.inet, [...portBytes, ...numbers, ...Array<number>(8).fill(0)]);
    }
    if (isIPv6(host)) {
      const flow = [0, 0, 0, 0];
      return withFamily(family.inet6, [...portBytes, ...flow, ...bytesOfIPv6(host), 0, 0, 0, 0]);
    }
  }
  throw new PatchbayError({
    code: "bad-usage",
    doing,
    why: "a stub is named by HOST:PORT or by the path of a socket",
    hint: "HOST is an address or localhost: localhost:1234",
  });
}

export class StreamSocket {
  readonly place: string;
  readonly #fd: number;
  #isOpen = true;

  /** Connects; fails at once where nobody listens. */
  constructor(place: string) {
    this.place = place;
    const { family: domain, bytes } = parsePlace(place);
    this.#fd = socket(domain, streamCloseOnExec, 0);
    if (this.#fd < 0) throw systemError(`connect to ${place}`, errno());
    if (connect(this.#fd, bytes, bytes.length) === 0) return;
    const number = errno();
    close(this.#fd);
    throw systemError(`connect to ${place}`, number);
  }

  /** Sends all of `bytes` (borrowed); false when the other end has closed the connection. */
  send(bytes: Uint8Array): boolean {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      return true;
    } catch (error) {
      if (isLost(error)) return false;
      throw error;
    }
  }

  /**
   * Bytes that have come, in a buffer of the caller's own, or none within `timeoutMs`; undefined
   * when the other end has closed the connection.
   */
  receive(timeoutMs: number): Uint8Array | undefined {
    const fds = new Uint8Array(8);
    const view = new DataView(fds.buffer);
    view.setInt32(0, this.#fd, true);
    view.setInt16(4, pollIn, true);
    if (poll(fds, 1n, Math.ceil(timeoutMs)) <= 0) return new Uint8Array(0);
    const buffer = new Uint8Array(1 << 16);
    const got = readOrNothing(this.#fd, buffer);
    return got === 0 ? undefined : buffer.slice(0, got);
  }

  /** Closes it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isOpen) close(this.#fd);
    this.#isOpen = false;
  }
}

const lostCodes: readonly unknown[] = ["ECONNRESET", "EPIPE", "ENOTCONN"];
const isLost = (error: unknown): boolean =>
  error instanceof Error && "code" in error && lostCodes.includes(error.code);

/** As read(2); a connection that was reset has ended like one that was closed. */
function readOrNothing(fd: number, buffer: Uint8Array): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if (isLost(error)) return 0;
    throw error;
  }
}
