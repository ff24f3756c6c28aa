import { describe, expect, it } from "vitest";
import { parseValueRequest, pointAt } from "./value-spec.ts";

const problemOf = (text: string): string => {
  const parsed = parseValueRequest(text);
  if (parsed.ok) throw new Error("it was parsed");
  return pointAt(text, parsed.error);
};

describe("a request for values", () => {
  it("names places and types", () => {
    expect(parseValueRequest("open*@arg1/s, arg2/x,fparg1,arg7/d,ret/ld")).toEqual({
      ok: true,
      value: {
        glob: "open*",
        values: {
          entry: [
            { place: { kind: "argument", index: 1 }, type: "text" },
            { place: { kind: "argument", index: 2 }, type: "pointer" },
            { place: { kind: "floatArgument", index: 1 }, type: "f64" },
            { place: { kind: "stackArgument", index: 1 }, type: "i32" },
          ],
          exit: [{ place: { kind: "result" }, type: "i64" }],
        },
      },
    });
  });

  it("may be of functions whose names have an @", () => {
    expect(parseValueRequest("memcpy@GLIBC_2.14@arg3/lu")).toMatchObject({
      value: { glob: "memcpy@GLIBC_2.14" },
    });
  });

  it.each([
    ["open", "which values? Write FUNCTION@arg1/s,arg2/x,ret/d, at column 5 of 'open'"],
    ["@arg1", "there is no function before the @, at column 1 of '@arg1'"],
    [
      "f@arg1/s,argh",
      "argh is no value; there are arg1, fparg1, ret, fpret, at column 10 of 'f@arg1/s,argh'",
    ],
    ["f@arg1/lf", "arg1 can't be of type f64, at column 8 of 'f@arg1/lf'"],
    ["f@ret,ret,ret", "more than two results, at column 3 of 'f@ret,ret,ret'"],
  ])("of %s is refused with its place", (text, problem) => {
    expect(problemOf(text)).toBe(problem);
  });

  it("is refused where a type is unknown", () => {
    expect(problemOf("f@arg1/q")).toMatch(/^q is no type; there are d, u, .* at column 8/);
    expect(problemOf("f@arg1/s/s")).toMatch(/^s\/s is no type/);
  });
});
