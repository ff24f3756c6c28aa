import { describe, expect, it } from "vitest";
import { type DispatchFacts, type DispatchForm, pickDispatch } from "./dispatch.ts";

const able: DispatchFacts = { count: 1, needsThunk: undefined, noLiteral: undefined };
const none = { ...able, count: 0 };
const several = { ...able, count: 3 };
const bare = { ...able, noLiteral: "no room" };
const exits = { ...several, needsThunk: "its return is hooked" };

describe("pickDispatch", () => {
  const cases: readonly (readonly [DispatchFacts, DispatchForm | undefined, DispatchForm])[] = [
    [none, undefined, "idle"],
    [none, "thunk", "idle"],
    [able, undefined, "call-ops"],
    [several, undefined, "fused"],
    [bare, undefined, "thunk"],
    [exits, undefined, "thunk"],
    [able, "thunk", "thunk"],
    [able, "fused", "fused"],
    [able, "list", "list"],
    [bare, "list", "list"],
    [several, "idle", "idle"],
  ];
  it.each(cases)("of %o, asked for %s, is %s", (facts, forced, form) =>
    expect(pickDispatch(facts, forced)).toEqual({ form }),
  );

  it("says why a form that was asked for can't be had", () => {
    expect(pickDispatch(bare, "call-ops")).toEqual({ form: "thunk", why: "no room" });
    expect(pickDispatch(exits, "list")).toEqual({ form: "thunk", why: "its return is hooked" });
    expect(pickDispatch(several, "call-ops")).toMatchObject({ form: "list" });
  });
});
