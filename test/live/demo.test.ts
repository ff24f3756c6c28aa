/** The first command of the README: it finds a program, traces it, and changes nothing in it. */
import { describe, expect, it } from "vitest";
import { startPatchbayWith } from "./harness.ts";

/** Compiling SQLite takes half a minute of a whole processor. */
const timeoutMs = 600_000;

describe("patchbay demo", () => {
  it.each([
    ["SQLite", "cc", /sqlite3VdbeExec/],
    ["Node.js where there is no compiler", "no-such-compiler", /v8::internal::Heap::/],
  ])(
    "shows the call graph of %s, whose results stay the same",
    async (_, compiler, shown) => {
      const env = { ...process.env, CC: compiler };
      const demo = startPatchbayWith({ env }, "demo", "--seconds", "0.3");
      const { status, stdout, stderr } = await demo.finish();
      expect([status, stderr]).toEqual([
        0,
        expect.stringContaining("detached; the program runs on"),
      ]);
      expect(stdout).toMatch(shown);
      expect(stdout).toMatch(/checksum \w+ after [\d,]+ rounds, the same as untraced/);
    },
    timeoutMs,
  );
});
