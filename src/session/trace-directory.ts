/**
 * Writing a trace: one directory, one file of packets per thread, `docs/trace-format.md`. All calls
 * are synchronous, made by the thread that drains the rings: a packet is a `writev` of its head and
 * the ring's own memory, nothing is looked at or copied here. At any moment what lies in the
 * directory is a trace that can be read.
 */
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writevSync,
} from "node:fs";
import { join } from "node:path";
import { assert, ensure } from "../base/assert.ts";
import { PatchbayError } from "../base/error.ts";
import { makeDirectory } from "../os/make-directory.ts";
import { type CodeMapping, encodeCodeMapping } from "../trace/code-map.ts";
import { encodeFork, type Fork } from "../trace/forks.ts";
import { encodeFunction, type TracedFunction } from "../trace/functions.ts";
import { encodeMetadata } from "../trace/metadata.ts";
import { encodePacketHeader, type PacketFields, packetHeaderBytes } from "../trace/packet.ts";
import {
  encodeSession,
  parseUuid,
  type Session,
  type SessionEnd,
  type SessionStart,
  type TracedImage,
} from "../trace/session.ts";
import { errnoOf, traceFiles, withFiles } from "./trace-files.ts";

/** What the drain knows of a packet; the stream itself adds its place and its size. */
export type PacketDraft = Omit<PacketFields, "payloadBytes" | "sequence">;

const whenFull = "what was recorded before is kept";

/** writev takes no more pieces (IOV_MAX is 1024); a ring's contents are two at the most. */
const chunksMax = 1000;

/**
 * Makes the directory `path` for a new trace. A trace that is there already is renamed to
 * `path.old`, in place of an older one; anything else there is left alone and refused.
 */
export function createTraceDirectory(path: string, start: SessionStart): TraceDirectory {
  if (path === "") {
    const why = "no directory was named";
    throw new PatchbayError({ code: "bad-usage", doing: "create a trace", why });
  }
  return withFiles(`create the trace ${path}`, () => {
    makeRoom(path);
    makeDirectory(join(path, traceFiles.own));
    return new TraceDirectory(path, start);
  });
}

const isTrace = (path: string): boolean => existsSync(join(path, traceFiles.session));

/** Moves the trace at `path` out of the way. */
function makeRoom(path: string): void {
  if (!existsSync(path)) return;
  if (!isTrace(path)) {
    if (readdirSync(path).length === 0) return;
    throw new PatchbayError({
      code: "io",
      doing: `create the trace ${path}`,
      why: "the directory holds other files",
      hint: "choose another one",
    });
  }
  const old = `${path.replace(/\/+$/, "")}.old`;
  if (isTrace(old)) rmSync(old, { recursive: true });
  withFiles(`move the trace ${path} to ${old}`, () => renameSync(path, old));
}

/** A trace that is being written; whoever made it ends it with `finish` or `close`. */
export class TraceDirectory {
  readonly path: string;
  readonly #uuid: Uint8Array;
  readonly #start: SessionStart;
  /** By image and site: what is told later of a site adds to it. */
  readonly #functions = new Map<string, TracedFunction>();
  readonly #streams = new Set<ThreadStream>();
  readonly #names = new Set<string>();
  readonly #images: TracedImage[] = [];
  readonly #forks: Fork[] = [];
  readonly #forksKnown = new Set<string>();
  #bytes = 0;

  constructor(path: string, start: SessionStart) {
    this.path = path;
    this.#start = start;
    this.#uuid = ensure(parseUuid(randomUUID()), "a random uuid is one");
    this.#replace(traceFiles.functions, "");
    this.#writeSession(undefined);
  }

  /** Bytes of packets written so far. */
  get bytesWritten(): number {
    return this.#bytes;
  }

  /** Adds a program that came by exec: the next image. */
  addImage(image: TracedImage): void {
    this.#images.push(image);
    withFiles(`write to the trace ${this.path}`, () => this.#writeSession(undefined));
  }

  /** Adds functions, before the first event that names one of them is added. */
  addFunctions(functions: readonly TracedFunction[]): void {
    withFiles(`write the functions of the trace ${this.path}`, () => {
      const lines = functions.map(encodeFunction).join("");
      appendFileSync(join(this.path, traceFiles.functions), lines);
      for (const f of functions) this.#functions.set(`${f.image ?? 0} ${f.site}`, f);
      this.#writeMetadata(undefined);
    });
  }

  /** Adds to what is known of where code is in the process. */
  addCode(mappings: readonly CodeMapping[]): void {
    withFiles(`write the code map of the trace ${this.path}`, () =>
      appendFileSync(join(this.path, traceFiles.code), mappings.map(encodeCodeMapping).join("")),
    );
  }

  /** Adds a child that was forked, unless it is there already. */
  addFork(fork: Fork): void {
    const key = encodeFork({ ...fork, parent: undefined });
    if (this.#forksKnown.has(key)) return;
    this.#forksKnown.add(key);
    this.#forks.push(fork);
    withFiles(`write the forks of the trace ${this.path}`, () =>
      appendFileSync(join(this.path, traceFiles.forks), encodeFork(fork)),
    );
  }

  /** Keeps the program's own map of code that it has made. @param text borrowed. */
  keepPerfMap(text: Uint8Array): void {
    withFiles(`write the perf map of the trace ${this.path}`, () =>
      writeFileSync(join(this.path, traceFiles.perfMap), text),
    );
  }

  /** Opens a file for the packets of thread `tid`; another thread with its id gets another one. */
  stream(tid: number): ThreadStream {
    let name = `thread-${tid}`;
    for (let n = 2; this.#names.has(name); n++) name = `thread-${tid}.${n}`;
    this.#names.add(name);
    const stream = new ThreadStream(join(this.path, name), this.#uuid, (bytes) => {
      this.#bytes += bytes;
    });
    this.#streams.add(stream);
    return stream;
  }

  /** Ends the trace: closes its files and states how recording ended. */
  finish(end: SessionEnd): void {
    this.close();
    withFiles(`finish the trace ${this.path}`, () => this.#writeSession(end));
  }

  /** Closes the files. What was written stays a trace, of a recording that was cut short. */
  close(): void {
    for (const stream of this.#streams) stream.close();
    this.#streams.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #session(end: SessionEnd | undefined): Session {
    const images = this.#images.length === 0 ? undefined : this.#images;
    return { ...this.#start, uuid: this.#uuid, images, end };
  }

  #writeSession(end: SessionEnd | undefined): void {
    this.#replace(traceFiles.session, encodeSession(this.#session(end)));
    this.#writeMetadata(end);
  }

  #writeMetadata(end: SessionEnd | undefined): void {
    this.#replace(
      traceFiles.metadata,
      encodeMetadata(this.#session(end), [...this.#functions.values()], this.#forks),
    );
  }

  #replace(name: string, text: string): void {
    const unfinished = join(this.path, traceFiles.unfinished);
    writeFileSync(unfinished, text);
    renameSync(unfinished, join(this.path, name));
  }
}

/** The file of one thread's packets. */
export class ThreadStream {
  readonly path: string;
  readonly #uuid: Uint8Array;
  readonly #count: (bytes: number) => void;
  #fd: number | undefined;
  #sizeBytes = 0;
  #packets = 0;

  constructor(path: string, uuid: Uint8Array, count: (bytes: number) => void) {
    this.path = path;
    this.#uuid = uuid;
    this.#count = count;
    this.#fd = withFiles(`create ${path}`, () => openSync(path, "wx"));
  }

  /**
   * Appends one packet: `chunks` are whole slots in the order of their time, borrowed until this
   * returns; without any, the packet states its times and losses alone. Gives the bytes written.
   * When the disk is full the file ends with the last whole packet and the error's code is
   * `disk-full`.
   */
  append(draft: PacketDraft, chunks: readonly Uint8Array[]): number {
    assert(chunks.length <= chunksMax, "a packet comes in few pieces");
    const payloadBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const header = encodePacketHeader(this.#uuid, {
      ...draft,
      payloadBytes,
      sequence: this.#packets,
    });
    this.#write([header, ...chunks], packetHeaderBytes + payloadBytes);
    this.#packets++;
    this.#sizeBytes += packetHeaderBytes + payloadBytes;
    this.#count(packetHeaderBytes + payloadBytes);
    return packetHeaderBytes + payloadBytes;
  }

  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #write(chunks: readonly Uint8Array[], totalBytes: number): void {
    const fd = ensure(this.#fd, "a stream is not appended to after it was closed");
    withFiles(
      `write to ${this.path}`,
      () => {
        try {
          for (let done = 0; done < totalBytes; ) {
            done += writevSync(fd, from(chunks, done), this.#sizeBytes + done);
          }
        } catch (error) {
          if (errnoOf(error) !== "") ftruncateSync(fd, this.#sizeBytes);
          throw error;
        }
      },
      whenFull,
    );
  }
}

/** What is left of `chunks` after the first `done` bytes. */
function from(chunks: readonly Uint8Array[], done: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = done;
  for (const chunk of chunks) {
    if (skip < chunk.length) rest.push(skip === 0 ? chunk : chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
  return rest;
}
