import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { installCommand, missingPackages, systemPackages } from "./system-packages.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-packages-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("missingPackages", () => {
  it("finds commands on the path and files by their names, and nothing else", () => {
    const command = join(folder, "command");
    const data = join(folder, "data");
    writeFileSync(command, "");
    writeFileSync(data, "");
    chmodSync(command, 0o755);
    chmodSync(data, 0o644);
    const probes = ["command", "data", data, join(folder, "absent"), "absent"];
    const rows = probes.map((probe) => ({ probe, debian: "d", neededFor: "n" }));
    const missing = missingPackages(rows, `/nowhere:${folder}`).map(({ probe }) => probe);
    expect(missing).toEqual(["data", join(folder, "absent"), "absent"]);
  });

  it("misses nearly all of the table on an empty path", () => {
    expect(missingPackages(systemPackages, folder).map((row) => row.debian)).toContain("gcc");
  });
});

describe("installCommand", () => {
  it("names each package once and asks nothing", () => {
    const rows = ["a", "b", "a"].map((debian) => ({ probe: "p", debian, neededFor: "n" }));
    expect(installCommand(rows)).toBe("apt-get install -y --no-install-recommends a b");
  });
});
