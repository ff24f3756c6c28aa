/**
 * A recorded trace as readers see it. Where its bytes lie is for someone else to know: `session/`
 * reads them from a directory, tests from memory.
 */
import type { Fork } from "./forks.ts";
import type { FunctionTable } from "./functions.ts";
import type { Session } from "./session.ts";
import type { NameStack } from "./stack-frames.ts";

/** Bytes that can be read at any offset; it may hold a file open until it is closed. */
export type ByteSource = {
  /** Bytes there were when it was opened: a trace that is still growing is read up to here. */
  readonly sizeBytes: number;
  /** Reads into `into` (borrowed) from `offset`; gives how many bytes there were, 0 at the end. */
  read(offset: number, into: Uint8Array): number;
  close(): void;
};

/** The packets of one thread, in the order of their time. */
export type TraceStream = {
  /** The name of its file. */
  readonly name: string;
  /** The caller closes what it gives. */
  open(): ByteSource;
};

export type Trace = {
  readonly session: Session;
  readonly functions: FunctionTable;
  readonly streams: readonly TraceStream[];
  /** Children that were forked; those that there are events of. */
  readonly forks: readonly Fork[];
  /** Names the addresses of recorded stacks. */
  readonly nameStack: NameStack;
};

/** Bytes in memory (borrowed), as a source. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.length,
    read: (offset, into) => {
      const part = bytes.subarray(offset, offset + into.length);
      into.set(part);
      return part.length;
    },
    close: () => undefined,
  };
}
