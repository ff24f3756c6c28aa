/**
 * A lock that is a file: held until it is disposed of or its process is gone, however it went
 * (flock(2)).
 */
import { closeSync, fstatSync, openSync, statSync, unlinkSync } from "node:fs";
import { flock } from "./libc.ts";

const exclusive = 2;
const nonBlocking = 4;

export class FileLock {
  readonly #path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Takes the lock at `path`; undefined when another process or another holder here has it. */
  static take(path: string): FileLock | undefined {
    for (;;) {
      const fd = openSync(path, "a", 0o600);
      if (flock(fd, exclusive | nonBlocking) !== 0) {
        closeSync(fd);
        return undefined;
      }
      // Its last holder may have removed the file between the two: then another one may have made
      // and locked a new one.
      if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) {
        return new FileLock(path, fd);
      }
      closeSync(fd);
    }
  }

  /** Gives it back; the file is gone. */
  [Symbol.dispose](): void {
    unlinkSync(this.#path);
    closeSync(this.#fd);
  }
}
