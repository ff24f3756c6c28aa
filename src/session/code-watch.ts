/**
 * What names the addresses of stacks later: where a process has which files' code, and its own map
 * of the code that it makes as it runs (`/tmp/perf-PID.map`, as Node.js writes with
 * `--perf-basic-prof`). Noted while the process is there, because it may end at any moment.
 */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import type { Pid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import { innerPid, procFolder, readMaps, readStat } from "../os/proc.ts";
import type { CodeMapping } from "../trace/code-map.ts";
import { errnoOf } from "./trace-files.ts";

/** Ticks of the kernel's clock for processes' times, in a second (USER_HZ). */
const clockTicks = 100;
/** Clocks and file systems may be so far apart, in ms. */
const slackMs = 2000;

export class CodeWatch {
  readonly #pid: Pid;
  readonly #known = new Set<string>();
  readonly #startMs: number;
  #perfMap: number | undefined;

  constructor(pid: Pid) {
    this.#pid = pid;
    const bootMs = Date.now() - uptime() * 1000;
    this.#startMs = bootMs + (readStat(pid).startTime / clockTicks) * 1000;
  }

  /** Code that has come since the last look; nothing once the process has ended. */
  look(): readonly CodeMapping[] {
    try {
      this.#perfMap ??= this.#openPerfMap();
      return this.#mappings().filter((one) => {
        const key = `${one.start}:${one.end}:${one.path}`;
        const isNew = !this.#known.has(key);
        this.#known.add(key);
        return isNew;
      });
    } catch (error) {
      if (error instanceof PatchbayError && error.code === "no-such-process") return [];
      throw error;
    }
  }

  /** What the program says of code that it has made, up to now; the caller's own. */
  perfMap(): Uint8Array | undefined {
    return this.#perfMap === undefined ? undefined : readFileSync(this.#perfMap);
  }

  [Symbol.dispose](): void {
    if (this.#perfMap !== undefined) closeSync(this.#perfMap);
    this.#perfMap = undefined;
  }

  /** Files' executable mappings; pages that are opened for a change are parts of the whole. */
  #mappings(): readonly CodeMapping[] {
    const found: CodeMapping[] = [];
    for (const { start, end, offset, path, inode, executable } of readMaps(this.#pid)) {
      if (!executable || (inode === 0 && path !== "[vdso]")) continue;
      if (path.startsWith("/memfd:")) continue;
      const last = found.at(-1);
      const goesOn =
        last?.end === start &&
        last.path === path &&
        last.offset + Number(start - last.start) === offset;
      if (goesOn) found[found.length - 1] = { ...last, end };
      else found.push({ start, end, offset, path: path.replace(/ \(deleted\)$/, "") });
    }
    return found;
  }

  /** The map, as the process sees it: in its own container, by its own number. */
  #openPerfMap(): number | undefined {
    try {
      const fd = openSync(
        join(procFolder(this.#pid), "root", `tmp/perf-${innerPid(this.#pid)}.map`),
        "r",
      );
      // One that a process of the same number has left there.
      if (fstatSync(fd).mtimeMs >= this.#startMs - slackMs) return fd;
      closeSync(fd);
      return undefined;
    } catch (error) {
      if (errnoOf(error) === "") throw error;
      return undefined;
    }
  }
}
