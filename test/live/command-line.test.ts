/** What the command line says of itself. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { patchbay } from "./harness.ts";

it("tells its version", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const { status, stdout } = await patchbay("--version");
  expect([status, stdout]).toEqual([0, version]);
});
