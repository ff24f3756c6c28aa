import { existsSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ensure } from "../base/assert.ts";
import { pid } from "../base/brand.ts";
import { readStat } from "../os/proc.ts";
import { MeetingPlace } from "./meeting-place.ts";

const self = pid(process.pid);
/** Above the greatest pid that Linux gives (PID_MAX_LIMIT). */
const gone = 4_194_305;

describe("MeetingPlace", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("removes what killed owners have left, and nothing of those who are there", () => {
    const runtime = mkdtempSync(join(tmpdir(), "patchbay-unit-"));
    vi.stubEnv("XDG_RUNTIME_DIR", runtime);
    const place = ensure(MeetingPlace.of(self, readStat(self).startTime), "a private place");
    using lock = place.own();
    expect(lock).toBeDefined();
    const folder = join(runtime, "patchbay");
    for (const name of [`${gone}-1.lock`, `${gone}-1.sock`, `${gone}-2.sock`, "notes"]) {
      writeFileSync(join(folder, name), "");
    }
    const hidden = ensure(MeetingPlace.of(pid(gone), 3), "a private place");
    using hiddenLock = hidden.own();
    expect(hiddenLock).toBeDefined();
    writeFileSync(hidden.socket, "");
    place.clear();
    const left = readdirSync(folder).filter((name) => !name.startsWith(`${self}-`));
    expect(left.toSorted()).toEqual([`${gone}-3.lock`, `${gone}-3.sock`, "notes"]);
    expect(existsSync(join(folder, `${self}-${readStat(self).startTime}.lock`))).toBe(true);
  });
});
