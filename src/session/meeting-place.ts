/**
 * Where Patchbay processes of one user meet over a process that they trace: a Unix socket in a
 * directory that nobody else can enter. Who holds the lock beside it owns the tracing; others join
 * him there.
 */
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ensure } from "../base/assert.ts";
import { type Pid, pid as toPid } from "../base/brand.ts";
import { FileLock } from "../os/file-lock.ts";
import { makeDirectory } from "../os/make-directory.ts";
import { isAlive } from "../os/proc.ts";

/** Longest path that a socket's address holds (sun_path, unix(7)), in bytes. */
const pathBytesMax = 107;
const permissionBits = 0o777;

/** What a process' files are called: its id, when it started, and what they are. */
const fileName = /^(\d+)-(\d+)\.(?:lock|sock)$/;

/** The user whose processes meet here. */
const self = (): number => ensure(process.geteuid, "this is Unix")();

/** Whether `path` is a directory of ours that only we can enter. */
function isPrivate(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isDirectory()) return false;
  return found.uid === self() && (found.mode & permissionBits) === 0o700;
}

/** Makes the directory unless it is there; undefined where there can't be a private one. */
function folder(): string | undefined {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  const candidates = [
    ...(runtime === undefined || runtime === "" ? [] : [join(runtime, "patchbay")]),
    join(tmpdir(), `patchbay-${self()}`),
  ];
  return candidates.find((path) => {
    try {
      makeDirectory(path, 0o700);
    } catch {
      // It may be there and good enough; if not, the next one may be.
    }
    return isPrivate(path);
  });
}

export class MeetingPlace {
  readonly socket: string;
  readonly #lock: string;

  private constructor(path: string) {
    this.socket = `${path}.sock`;
    this.#lock = `${path}.lock`;
  }

  /** For the process `pid` that started at `startTime`; undefined where there can be none. */
  static of(pid: Pid, startTime: number): MeetingPlace | undefined {
    const found = folder();
    if (found === undefined) return undefined;
    const place = new MeetingPlace(join(found, `${pid}-${startTime}`));
    return Buffer.byteLength(place.socket) > pathBytesMax ? undefined : place;
  }

  /** Becomes the owner; undefined when there is one. */
  own(): FileLock | undefined {
    return FileLock.take(this.#lock);
  }

  /**
   * Removes what owners have left who were killed: of this process, and of all that have ended. Who
   * holds a lock is left alone, since his process may be out of our sight, in another container.
   */
  clear(): void {
    rmSync(this.socket, { force: true });
    const folder = dirname(this.socket);
    for (const name of readdirSync(folder)) {
      const [, pid, startTime] = fileName.exec(name) ?? [];
      if (pid === undefined || isAlive(toPid(Number(pid)), Number(startTime))) continue;
      const place = new MeetingPlace(join(folder, `${pid}-${startTime}`));
      using lock = place.own();
      if (lock !== undefined) rmSync(place.socket, { force: true });
    }
  }
}
