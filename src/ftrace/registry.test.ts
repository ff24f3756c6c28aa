import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ensure } from "../base/assert.ts";
import { codeAddr } from "../base/brand.ts";
import { resolve } from "./hash.ts";
import { type Handler, makeOps, type Ops, opsWants } from "./ops.ts";
import { Registry, type Update, updateAction } from "./registry.ts";

const siteCount = 12;
const functions = Array.from({ length: siteCount }, (_, site) => ({
  site,
  names: [`f${site}`],
  module: "prog",
}));
const select = (...globs: string[]) =>
  resolve(
    globs.map((glob) => ({ kind: "name", remove: false, glob })),
    functions,
  );
const recordHandler: Handler = { kind: "record", exits: true };
const direct: Handler = { kind: "direct", target: codeAddr(0x1000n) };

const actionNames = Object.keys(updateAction);

/** An update as a list: the site, what becomes of its text, and the ops that it serves. */
const rowsOf = ({ sites, actions, sets, set }: Update): [number, string, readonly Ops[]][] =>
  Array.from(sites, (site, index) => [
    site,
    ensure(actionNames[actions[index] ?? -1], "an action"),
    ensure(sets[set[index] ?? -1], "a set"),
  ]);
const actionsOf = (update: Update) => rowsOf(update).map(([site, action]) => [site, action]);
/** The same with how many ops the site serves. */
const countsOf = (update: Update) =>
  rowsOf(update).map(([site, action, ops]) => [site, action, ops.length]);

describe("Registry", () => {
  it("enables the sites that the first ops wants and idles them when it goes", () => {
    const registry = new Registry(siteCount);
    const ops = makeOps("a", recordHandler, { filter: select("f1", "f2") });
    const came = registry.register(ops);
    expect(came.ok && actionsOf(came.value)).toEqual([
      [1, "makeCall"],
      [2, "makeCall"],
    ]);
    expect(actionsOf(registry.unregister(ops))).toEqual([
      [1, "makeNop"],
      [2, "makeNop"],
    ]);
    expect([...registry.enabledSites()]).toEqual([]);
  });

  it("says who redirects a function already, and changes nothing", () => {
    const registry = new Registry(siteCount);
    registry.register(makeOps("fix", direct, { filter: select("f3") }));
    const before = [...registry.enabledSites()];
    const refused = registry.register(makeOps("other", direct, { filter: select("f3", "f4") }));
    expect(refused).toEqual({ ok: false, error: { kind: "busy", site: 3, holder: "fix" } });
    expect([...registry.enabledSites()]).toEqual(before);
  });

  it("exchanges ops in one update", () => {
    const registry = new Registry(siteCount);
    const [a, b, c] = [
      ["f1", "f2"],
      ["f2", "f3"],
      ["f3", "f4"],
    ].map((globs, index) => makeOps(`${index}`, recordHandler, { filter: select(...globs) }));
    registry.register(ensure(a, "ops"));
    registry.register(ensure(b, "ops"));
    const result = registry.exchange([ensure(a, "ops")], [ensure(c, "ops")]);
    expect(result.ok && countsOf(result.value)).toEqual([
      [1, "makeNop", 0],
      [2, "modifyCall", 1],
      [3, "modifyCall", 2],
      [4, "makeCall", 1],
    ]);
    expect(registry.countEnabled([ensure(c, "ops")])).toBe(2);
    expect(registry.exchange(registry.ops, []).ok).toBe(true);
    expect([...registry.enabledSites()]).toEqual([]);
  });

  it("goes back to what it was where a change could not be carried out", () => {
    const registry = new Registry(siteCount);
    registry.register(makeOps("a", recordHandler, { filter: select("f1", "f2") }));
    const [before, enabled] = [registry.save(), [...registry.enabledSites()]];
    const more = makeOps("b", recordHandler, { filter: select("f2", "f3") });
    registry.exchange(registry.ops, [more]);
    registry.restore(before);
    expect([...registry.enabledSites()]).toEqual(enabled);
    expect(registry.exchange([], [more]).ok).toBe(true);
  });

  it("refuses to redirect every function there is", () => {
    const registry = new Registry(siteCount);
    expect(registry.register(makeOps("all", direct))).toEqual({
      ok: false,
      error: { kind: "no-filter" },
    });
  });

  it("lets a site leave its sole ops' trampoline when a second one comes", () => {
    const registry = new Registry(siteCount);
    registry.register(makeOps("a", recordHandler, { filter: select("f1") }));
    const update = registry.register(makeOps("b", { kind: "count" }, { filter: select("f1") }));
    expect(update.ok && countsOf(update.value)).toEqual([[1, "modifyCall", 2]]);
    const third = registry.register(makeOps("c", { kind: "count" }, { filter: select("f1") }));
    expect(third.ok && actionsOf(third.value)).toEqual([[1, "modifyOps"]]);
  });

  it("gives functions of a library that comes later to the ops that want all", () => {
    const registry = new Registry(2);
    registry.register(makeOps("all", recordHandler));
    expect([...registry.addSites(2).sites]).toEqual([2, 3]);
  });
});

/** What a site does, kept the simplest way: the list of ops that want it. */
class Reference {
  readonly all: Ops[] = [];
  at(site: number): readonly Handler[] {
    return this.all.filter((ops) => opsWants(ops, site)).map((ops) => ops.handler);
  }
}

const handlers: readonly Handler[] = [recordHandler, { kind: "count" }, direct];
const step = fc.record({
  act: fc.constantFrom("register", "unregister", "modify", "off", "on"),
  pick: fc.nat(7),
  handler: fc.nat(handlers.length - 1),
  sites: fc.uniqueArray(fc.nat(siteCount - 1), { minLength: 1, maxLength: 4 }),
});

/**
 * Plays updates back: what each site's text serves. Ops with one handler are as good as another.
 */
function apply(text: Map<number, readonly Handler[]>, update: Update): void {
  for (const [site, action, ops] of rowsOf(update)) {
    if (action === "makeNop") expect(text.has(site)).toBe(true);
    if (action === "makeCall") expect(text.has(site)).toBe(false);
    if (action === "makeNop") text.delete(site);
    else
      text.set(
        site,
        ops.map((one) => one.handler),
      );
  }
}

it("keeps every site's text in step with the ops that want it, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const registry = new Registry(siteCount);
      const reference = new Reference();
      const text = new Map<number, readonly Handler[]>();
      let on = true;
      let name = 0;
      for (const { act, pick, handler, sites } of steps) {
        const filter = select(...sites.map((site) => `f${site}`));
        const made = makeOps(`ops${name++}`, ensure(handlers[handler], "a handler"), { filter });
        const old = reference.all[pick % Math.max(1, reference.all.length)];
        if (act === "register") {
          const result = registry.register(made);
          if (result.ok) reference.all.push(made);
          if (result.ok) apply(text, result.value);
        } else if (act === "unregister" && old !== undefined) {
          reference.all.splice(reference.all.indexOf(old), 1);
          apply(text, registry.unregister(old));
        } else if (act === "modify" && old !== undefined) {
          const result = registry.modify(old, made);
          if (result.ok) reference.all.splice(reference.all.indexOf(old), 1, made);
          if (result.ok) apply(text, result.value);
        } else if (act === "on" || act === "off") {
          on = act === "on";
          apply(text, registry.setEnabled(on));
        }
        for (let site = 0; site < siteCount; site++) {
          const wanted = reference.at(site);
          expect(text.get(site) ?? []).toEqual(on ? wanted : []);
        }
      }
    }),
  );
});
