/** The live view in a real browser, on a process that runs: what it switches, shows and leaves. */
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { ask, openPage, startBrowser, startUi } from "./browser.ts";
import { compile, listProc, patchbay, Target, tracePath, until } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";

/** A program whose threads work until a line comes; then it says how often it called what. */
const startTarget = async (): Promise<Target> => {
  const target = await Target.start(
    compile("count.c"),
    "threads=2",
    "calls=0",
    "pace=300",
    "depth=3",
  );
  target.send("work");
  return target;
};

const row = (page: Page, name: string) =>
  page.getByTestId("live-functions").locator("tr", { hasText: name });

describe("the live view", () => {
  it("counts and records what is switched on, and leaves the process as it was", async () => {
    const target = await startTarget();
    await until("both threads work", () => listProc(`/proc/${target.pid}/task`).length === 3);
    const trace = tracePath();
    const ui = await startUi("-p", String(target.pid), "-o", trace);
    const page = await openPage(await startBrowser(), ui);

    // One function's switch: it is counted, the others are not.
    await row(page, "traced_leaf")
      .getByRole("switch", { name: /^watch/ })
      .click();
    await expect
      .poll(() => row(page, "traced_leaf").locator("td").nth(3).innerText(), { timeout: 60_000 })
      .toMatch(/^[1-9][\d,]+$/);
    expect(await row(page, "traced_recurse").locator("td").nth(3).innerText()).toBe("");
    expect(await row(page, "traced_leaf").innerText()).toContain("thunk");
    await row(page, "traced_leaf").locator("td.code").click();
    await page.getByTestId("histogram").locator("canvas").waitFor();

    // A glob for recording.
    await page.keyboard.press("/");
    await page.keyboard.type("traced_rec*");
    await page.getByRole("button", { name: "Record these" }).click();
    await page.getByRole("button", { name: "Start recording" }).click();
    await expect
      .poll(() => page.getByTestId("recording").innerText(), { timeout: 60_000 })
      .toMatch(/● [1-9][\d,]* events .*, 0 lost/);
    await page.getByRole("button", { name: "Stop recording" }).click();
    await page.getByTestId("recorded").waitFor();
    const { stdout } = await patchbay("report", "--json", trace);
    const names = JSON.parse(stdout).reports[0].functions.map((one: { name: string }) => one.name);
    expect(names).toEqual(["traced_recurse"]);
    await page.getByRole("button", { name: "Open the recording" }).click();
    await page.waitForSelector("[data-testid=facts][data-indexed-ms]");

    // All off, and the server gone: nothing is left behind.
    await page.getByRole("button", { name: "Live" }).click();
    await page.getByTitle("take this away").first().click();
    await page.close();
    ui.server.child.kill("SIGINT");
    expect((await ui.server.ended).status).toBe(0);
    expect(listProc(`/proc/${target.pid}/task`)).toHaveLength(3);
    expect(changedTextBytes(target.pid)).toBe(0);
    target.send("enough");
    const counts = await target.numbers();
    expect(counts["traced_leaf"]).toBeGreaterThan(0);
    target.send("end");
    expect((await target.ended).status).toBe(0);
  });

  it("says what is wrong with a word, and changes nothing for requests it refuses", async () => {
    const target = await startTarget();
    const ui = await startUi("-p", String(target.pid), "-o", tracePath());
    const post = async (path: string, body: unknown, headers = {}) =>
      await ask(ui, `/api/live/${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      });
    const fine = { on: true, include: ["*"], exclude: [], times: true };
    const before = await ask(ui, "/api/live/state");
    for (const [path, body, headers, status] of [
      ["watch", fine, { origin: "http://evil.example" }, 403],
      ["watch", fine, { host: "evil.example" }, 403],
      ["watch", fine, { "x-patchbay-token": "wrong" }, 401],
      ["watch", fine, { "content-type": "text/plain" }, 400],
      ["watch", { ...fine, include: ["nothing_like_it"] }, {}, 404],
      ["watch", { ...fine, include: ["two words"] }, {}, 400],
      ["watch", { ...fine, include: "traced_leaf" }, {}, 400],
      ["watch", { ...fine, on: "yes" }, {}, 400],
      ["record", { on: true, include: [7] }, {}, 400],
      ["record", [], {}, 400],
      ["open", {}, {}, 400],
    ] as const) {
      const answer = await post(path, body, headers);
      expect([JSON.stringify(body), answer.status]).toEqual([JSON.stringify(body), status]);
      expect(JSON.parse(answer.text).error).toMatch(/^[^\n]+$/);
    }
    expect((await ask(ui, "/api/live/state")).text).toBe(before.text);
    expect(JSON.parse(before.text)).toMatchObject({ watched: [], recorded: [], enabled: [] });
    target.send("enough");
    await target.numbers();
  });

  it("sees the process end", async () => {
    const target = await startTarget();
    const ui = await startUi("-p", String(target.pid), "-o", tracePath());
    const page = await openPage(await startBrowser(), ui);
    await page.getByRole("button", { name: /^Watch all/ }).click();
    await row(page, "traced_leaf").getByText("thunk").waitFor();
    target.kill("SIGKILL");
    await page.getByText("the process has ended").waitFor();
    await page.close();
    ui.server.child.kill("SIGINT");
    expect((await ui.server.ended).status).toBe(0);
  });
});
