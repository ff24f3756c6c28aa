/** The protocols view in a real browser: verdicts, a counterexample that plays, edited steps. */
import { describe, expect, it } from "vitest";
import { ask, openPage, startBrowser, startUi } from "./browser.ts";
import { patchbay } from "./harness.ts";

const protocol = "P7/no-second-sync";

type VerifyRow = { readonly id: string; readonly verdict: string; readonly states: number };

describe("the protocols view", () => {
  it("checks, plays a counterexample both ways, and checks what was edited", async () => {
    const { stdout } = await patchbay("verify", protocol, "--json");
    const rows: readonly VerifyRow[] = JSON.parse(stdout).rows;
    const page = await openPage(await startBrowser(), await startUi());
    await page.locator(".protocol-item", { hasText: "no sync behind the tail" }).click();
    await page.getByRole("button", { name: "Check all of these" }).click();
    const table = page.getByTestId("checks").locator("tbody");
    for (const [at, { verdict, states }] of rows.entries()) {
      const row = table.locator("tr").nth(at);
      const text = new RegExp(`^${verdict}[\\s\\S]*\\s${states.toLocaleString("en-US")}\\s`);
      await expect.poll(() => row.innerText(), { timeout: 60_000 }).toMatch(text);
    }

    await table.getByRole("button", { name: "Play", exact: true }).first().click();
    const player = page.getByTestId("player");
    await player.getByText("executed an instruction that nobody wrote").waitFor();
    const step = page.getByTestId("step");
    const last = Number(/of (\d+)/.exec(await step.innerText())?.[1]);
    await player.getByTitle(/A step back/).focus();
    await page.keyboard.press("ArrowLeft");
    expect(await step.innerText()).toBe(`step ${last - 1} of ${last}`);
    // Before the last step, the hart may still see bytes that memory has no more.
    expect(await player.locator(".version.stale").count()).toBeGreaterThan(0);
    await page.keyboard.press("Home");
    expect(await step.innerText()).toBe(`step 0 of ${last}`);
    expect(await player.locator(".version.stale").count()).toBe(0);
    await page.keyboard.press("End");
    expect(await step.innerText()).toBe(`step ${last} of ${last}`);

    // The sync that is missing, put where it belongs, makes it safe.
    for (const name of ["enable", "disable"]) {
      const text = page.locator(`textarea[name=${name}]`);
      const steps = (await text.inputValue()).split("\n");
      const tail = steps.findIndex((line) => line.startsWith("write window[1, end)"));
      await text.fill(steps.toSpliced(tail + 1, 0, "sync by interrupt").join("\n"));
    }
    await page.getByRole("button", { name: "Check these steps" }).click();
    await expect
      .poll(() => page.getByTestId("edited-verdict").innerText(), { timeout: 60_000 })
      .toMatch(/^safe/);
  });

  it("reads steps and runs nothing that is written there", async () => {
    const ui = await startUi();
    const { stdout } = await patchbay("verify", protocol, "--json");
    const basis = JSON.parse(stdout).rows[0].id;
    const own = async (body: object, headers = {}) =>
      await ask(ui, "/api/protocols/own", {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ basis, disable: "", modify: "", retire: "", ...body }),
      });
    for (const [body, why] of [
      [{ enable: "process.exit(1)" }, "line 1 of enable"],
      [{ enable: "drain\nwrite window[0, 99) = new" }, "outside of the window"],
      [{ enable: 'import("node:fs")' }, "is no step"],
      [{ enable: 7 }, "no text"],
      [{ enable: "", basis: "nobody's" }, "there is no such check"],
      [{ enable: "x".repeat(20_000) }, "at most"],
    ] as const) {
      const { status, text } = await own(body);
      expect([400, 404]).toContain(status);
      expect(JSON.parse(text).error).toContain(why);
      expect(JSON.parse(text).error).not.toContain("\n");
    }
    const foreign = await own({ enable: "drain" }, { origin: "http://evil.example" });
    expect(foreign.status).toBe(403);
    const typed = await own({ enable: "drain" }, { "content-type": "text/plain" });
    expect(typed.status).toBe(400);
  });
});
