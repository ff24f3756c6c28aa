import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSteps } from "./parse-steps.ts";
import { families } from "./protocols/families.ts";
import { describeStep, type Step } from "./steps.ts";

const lists = families.flatMap(({ checks }) =>
  checks.flatMap(({ protocol: { enable, disable, modify = [], retire } }) => [
    enable,
    disable,
    modify,
    retire,
  ]),
);

const textOf = (list: readonly Step[]): string => list.map(describeStep).join("\n");

describe("steps as text", () => {
  it("are read back as they were, for every protocol there is", () => {
    for (const list of new Set(lists)) {
      expect(parseSteps(textOf(list))).toEqual({ ok: true, value: list });
    }
  });

  it("may have comments, empty lines and uneven spaces", () => {
    const found = parseSteps("\n  write window[0,1) = trap  # first\n\n sync by interrupt\n#\n");
    expect(found.ok && textOf(found.value)).toBe("write window[0, 1) = trap\nsync by interrupt");
  });

  it.each([
    "write",
    "write window[1, 1) = new",
    "write window[0, 1) = ",
    "sync by magic",
    "stop { drain }",
    "stop { stop { } }",
    "traps mean nothing",
    "process.exit()",
  ])("refuses %j and says which line it is", (line) => {
    const found = parseSteps(`drain\n${line}`);
    expect(found.ok).toBe(false);
    if (!found.ok) expect(found.error.line).toBe(2);
  });

  it("give steps or a refusal, whatever is written", () => {
    const words = fc.constantFrom("write", "window[0, 1)", "=", "new", "stop", "{", "}", ";", "ff");
    const line = fc.oneof(
      fc.string(),
      fc.array(words).map((list) => list.join(" ")),
    );
    fc.assert(
      fc.property(fc.array(line), (list) => {
        const found = parseSteps(list.join("\n"));
        if (found.ok) expect(parseSteps(textOf(found.value))).toEqual(found);
      }),
    );
  });
});
