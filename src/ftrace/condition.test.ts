import { describe, expect, it } from "vitest";
import { type Condition, conjuncts, needsExit, parseCondition } from "./condition.ts";
import { pointAt } from "./value-spec.ts";

const parse = (text: string): Condition => {
  const parsed = parseCondition(text);
  if (!parsed.ok) throw new Error(pointAt(text, parsed.error));
  return parsed.value;
};

/** With every bracket, for comparison. */
function show(condition: Condition): string {
  switch (condition.kind) {
    case "and":
    case "or":
      return `(${show(condition.left)} ${condition.kind} ${show(condition.right)})`;
    case "not":
      return `not ${show(condition.of)}`;
    case "duration":
      return `duration ${condition.how} ${condition.ns}`;
    case "compare": {
      const side = (one: typeof condition.left): string => {
        const mask = one.mask === undefined ? "" : `&${one.mask}`;
        return `${one.place.kind}${"index" in one.place ? one.place.index : ""}:${one.type}${mask}`;
      };
      const { left, how, right } = condition;
      return `${side(left)} ${how} ${typeof right === "string" ? right : side(right)}`;
    }
    default:
      return condition satisfies never;
  }
}

describe("a condition", () => {
  it.each([
    ["arg2 > 4096 && ret < 0", "(argument2:auto > 4096 and result:auto < 0)"],
    ["arg1 == 1 || arg2==2&&arg3==-3", undefined],
    ["arg1", "argument1:auto != 0"],
    ["!(arg3 & 0x40)", "not argument3:auto&64 != 0"],
    ["arg1/u8 == 'x'", "argument1:u8 == 120"],
    ["arg7/d >= arg1/d", "stackArgument1:i32 >= argument1:i32"],
    ["duration >= 1.5ms", "duration >= 1500000"],
    ["  ret/x != 0xffffffffffffffff ", "result:pointer != 18446744073709551615"],
  ])("is read from %s", (text, shown) => {
    expect(show(parse(text))).toBe(
      shown ?? "(argument1:auto == 1 or (argument2:auto == 2 and argument3:auto == -3))",
    );
  });

  it.each([
    ["", "a value like arg1, ret or duration was expected, not the end, at column 1 of ''"],
    [
      "arg2 >",
      "a value like arg1, ret or duration was expected, not the end, at column 7 of 'arg2 >'",
    ],
    [
      "arg2 > 1 arg3",
      "&& or || or the end was expected, not arg3, at column 10 of 'arg2 > 1 arg3'",
    ],
    ["(arg2 > 1", ") was expected, not the end, at column 10 of '(arg2 > 1'"],
    ["arg2 $ 1", "$ makes no sense, at column 6 of 'arg2 $ 1'"],
    ["duration > 5", "a time like 1ms was expected, not 5, at column 12 of 'duration > 5'"],
    [
      "ret < arg1",
      "an argument can't be compared with the result: it is gone by then, " +
        "at column 1 of 'ret < arg1'",
    ],
    [
      "arg9999",
      "an integer like arg1 or ret, or duration, was expected, not arg9999, " +
        "at column 1 of 'arg9999'",
    ],
  ])("%j is refused with its place", (text, problem) => {
    const parsed = parseCondition(text);
    expect(parsed.ok ? "" : pointAt(text, parsed.error)).toBe(problem);
  });

  it("knows what has to wait for the call's end", () => {
    expect(needsExit(parse("arg1 == 1 || arg2 == 2"))).toBe(false);
    expect(needsExit(parse("arg1 == 1 || !(ret == 2)"))).toBe(true);
    expect(conjuncts(parse("arg1 && ret && (duration > 1s || arg2)"))).toHaveLength(3);
  });
});
