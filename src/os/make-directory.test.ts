import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makeDirectory } from "./make-directory.ts";

const home = mkdtempSync(join(tmpdir(), "patchbay-test-"));
afterAll(() => rmSync(home, { recursive: true }));

describe("makeDirectory", () => {
  it("makes what is missing, and leaves what is there", () => {
    const path = join(home, "a/b/c");
    makeDirectory(path);
    makeDirectory(path);
    expect(existsSync(path)).toBe(true);
  });

  it("fails where a file is in the way, and where nothing can be made", () => {
    writeFileSync(join(home, "file"), "");
    expect(() => makeDirectory(join(home, "file"))).toThrow("EEXIST");
    expect(() => makeDirectory(join(home, "file/below"))).toThrow("ENOTDIR");
    expect(() => makeDirectory("/proc/nowhere/x")).toThrow("ENOENT");
  });
});
