/** Who the browser view's server answers, and that nothing else changes anything. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeSyntheticTrace } from "../../bench/synthetic-trace.ts";
import { type Answer, ask, startUi, type Ui } from "./browser.ts";
import { patchbay, tracePath } from "./harness.ts";

async function start(): Promise<Ui> {
  const trace = tracePath();
  writeSyntheticTrace(trace, { seed: 3, events: 20_000, threads: 2, functions: 30 });
  return await startUi(trace);
}

/** One line that says why. */
function expectRefusal({ status, text }: Answer, expected: readonly number[]): void {
  expect(expected).toContain(status);
  const body: unknown = JSON.parse(text);
  expect(body).toEqual({ error: expect.stringMatching(/^[^\n]+$/), code: expect.any(String) });
}

describe("the server of the browser view", () => {
  it("answers its own page, with a policy that allows nothing else", async () => {
    const ui = await start();
    const page = await ask(ui, `/?token=${ui.token}`, { token: undefined });
    expect(page.status).toBe(200);
    expect(page.text).not.toContain(ui.token);
    const policy = page.headers["content-security-policy"];
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain("unsafe");
    expect(page.headers["referrer-policy"]).toBe("no-referrer");
    const own = { origin: ui.url.origin, "sec-fetch-site": "same-origin" };
    expect((await ask(ui, "/api/about", { headers: own })).status).toBe(200);
  });

  it("refuses a wrong token, a foreign Host, a foreign Origin", async () => {
    const ui = await start();
    for (const path of ["/", "/api/about", "/api/trace", "/api/events", "/nowhere"]) {
      for (const token of [undefined, "", "x", `${ui.token}x`, ui.token.slice(1)]) {
        expectRefusal(await ask(ui, path, { token }), [401]);
      }
      for (const host of ["evil.example", `evil.example:${ui.url.port}`, "127.0.0.1:1", ""]) {
        const answer = await ask(ui, path, { headers: { host } });
        if (answer.status !== 400 || answer.text !== "") expectRefusal(answer, [403]);
      }
      for (const origin of [
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        "http://127.0.0.1",
      ]) {
        expectRefusal(await ask(ui, path, { headers: { origin } }), [403]);
      }
      for (const site of ["cross-site", "same-site"]) {
        expectRefusal(await ask(ui, path, { headers: { "sec-fetch-site": site } }), [403]);
      }
    }
  });

  it("gives no file but the page's own", async () => {
    const ui = await start();
    for (const path of [
      "/assets/../index.js",
      "/assets/..%2f..%2fpackage.json",
      "/assets/%2e%2e/cli/main.js",
      "/assets//etc/passwd",
      "/index.html",
      "/package.json",
    ]) {
      expectRefusal(await ask(ui, path), [404]);
    }
  });

  it("refuses requests that make no sense, whatever they are, and goes on as before", async () => {
    const ui = await start();
    const paths = [
      "tiles",
      "call",
      "next",
      "selection",
      "relatives",
      "source",
      "export",
      "functions",
      "nothing",
    ];
    const names = ["thread", "level", "first", "count", "time", "depth", "slack", "sites", "site"];
    const more = ["threads", "from", "to", "back", "format"];
    const value = fc.oneof(
      fc.constantFrom("-1", "0", "1", "1e9", "NaN", "Infinity", "99999999999999999", "1,2", "0x1"),
      fc.string({ maxLength: 12 }),
      fc.integer().map(String),
    );
    const queries = fc.dictionary(fc.constantFrom(...names, ...more), value, { maxKeys: 8 });
    // What would be answered, to be spoiled by the rest.
    const sensible = {
      ...{ thread: "1", level: "3", first: "2", count: "2", time: "50", depth: "1", slack: "5" },
      ...{ sites: "1,2", site: "1", from: "0", to: "1000", format: "folded" },
    };
    const methods = fc.constantFrom("GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS");
    const settled = async (): Promise<string> => (await ask(ui, "/api/trace/functions")).text;
    await expect.poll(async () => (await ask(ui, "/api/trace")).text).toContain("indexedMs");
    const before = await settled();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        queries,
        methods,
        fc.option(fc.json({ maxDepth: 2 }), { nil: undefined }),
        fc.boolean(),
        async (path, query, method, body, sane) => {
          const text = new URLSearchParams({ ...(sane ? sensible : {}), ...query }).toString();
          const headers = { "content-type": "application/json" };
          const sent = method === "GET" || body === undefined ? {} : { body };
          const answer = await ask(ui, `/api/trace/${path}?${text}`, { method, headers, ...sent });
          expect([200, 400, 404, 409]).toContain(answer.status);
          if (answer.status !== 200 && answer.text !== "") expectRefusal(answer, [400, 404, 409]);
        },
      ),
      { numRuns: 150 },
    );
    expect(await settled()).toBe(before);
    expect(ui.server.stderr).not.toMatch(/Error|at .*\.js/);
  });

  it("refuses bodies that make no sense, and does nothing for them", async () => {
    const ui = await start();
    const value = fc.oneof(
      fc.constantFrom<unknown>(true, false, null, "", "*", "P7/int3", ["*"], [""], [1], {}),
      fc.jsonValue({ maxDepth: 2 }),
    );
    const names = ["ids", "id", "basis", "enable", "disable", "modify", "retire"];
    const bodies = fc.oneof(
      fc.dictionary(fc.constantFrom(...names, "on", "include", "exclude", "times"), value),
      fc.jsonValue({ maxDepth: 1 }),
    );
    const paths = ["protocols/check", "protocols/trace", "protocols/own"];
    const live = ["live/watch", "live/record", "live/open"];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths, ...live), bodies, async (path, body) => {
        const headers = { "content-type": "application/json" };
        const sent = { method: "POST", headers, body: JSON.stringify(body) };
        const answer = await ask(ui, `/api/${path}`, sent);
        // An empty list of checks is the one thing here that can be asked for.
        if (answer.status === 200) expect(answer.text).toBe('{"left":0}');
        else expectRefusal(answer, [400, 404]);
      }),
      { numRuns: 150 },
    );
    expect(JSON.parse((await ask(ui, "/api/protocols")).text).outcomes).toEqual([]);
    expect(ui.server.stderr).not.toMatch(/Error|at .*\.js/);
    for (const body of ["", "{", "[]", `{"ids":["${"x".repeat(300_000)}"]}`]) {
      const headers = { "content-type": "application/json" };
      const answer = await ask(ui, "/api/protocols/check", { method: "POST", headers, body });
      expectRefusal(answer, [400]);
    }
  });

  it("says in one line why it can't start", async () => {
    for (const [args, why] of [
      [["/nowhere"], "there is no such directory"],
      [["--port", "99999", "/nowhere"], "a port is a number"],
    ] as const) {
      const { status, stderr } = await patchbay("ui", ...args);
      expect([1, 2]).toContain(status);
      expect(stderr.trimEnd()).toMatch(/^patchbay: [^\n]+$/);
      expect(stderr).toContain(why);
    }
  });
});
