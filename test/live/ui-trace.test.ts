/** The trace view in a real browser: what it shows is what the command line says of the trace. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { openPage, startBrowser, startUi } from "./browser.ts";
import { compile, patchbay, tempDir } from "./harness.ts";

type ReportRow = { readonly name: string; readonly calls: number };

type Recorded = { readonly trace: string; readonly rows: readonly ReportRow[] };

let recorded: Promise<Recorded> | undefined;
/** A recording of a program that counts its own calls, and the report that we make of it. */
const record = (): Promise<Recorded> => (recorded ??= makeRecording());

async function makeRecording(): Promise<Recorded> {
  const trace = join(tempDir(), "trace");
  const program = [compile("count.c"), "threads=2", "calls=20000", "depth=5", "wait=0"];
  const { status } = await patchbay("record", "-q", "-o", trace, "--", ...program);
  expect(status).toBe(0);
  const { stdout } = await patchbay("report", "--json", trace);
  return { trace, rows: JSON.parse(stdout).reports[0].functions };
}

const callsOf = (rows: readonly ReportRow[], name: string): string =>
  (rows.find((row) => row.name === name)?.calls ?? -1).toLocaleString("en-US");

async function untilRead(page: Page): Promise<void> {
  await page.waitForSelector("[data-testid=facts][data-indexed-ms]");
  await page.waitForSelector("[data-testid=functions] tbody tr");
}

/** Waits until the timeline has come to rest: two pictures of it that are the same. */
async function settled(page: Page): Promise<Buffer> {
  const canvas = page.getByTestId("timeline");
  let last = await canvas.screenshot();
  await expect
    .poll(
      async () => {
        const before = last;
        last = await canvas.screenshot();
        return before.equals(last);
      },
      { timeout: 60_000, interval: 200 },
    )
    .toBe(true);
  return last;
}

describe("the trace view", () => {
  it("shows each function's numbers, source, callers and calls", async () => {
    const { trace, rows } = await record();
    const page = await openPage(await startBrowser(), await startUi(trace));
    await untilRead(page);
    const leaf = page.getByTestId("functions").locator("tr", { hasText: "traced_leaf" });
    await expect.poll(() => leaf.innerText()).toContain(callsOf(rows, "traced_leaf"));

    await leaf.click();
    await page.getByRole("tab", { name: "Callers and callees" }).click();
    await page.getByTestId("relatives").getByText("traced_recurse").waitFor();

    await page.keyboard.press("/");
    await page.keyboard.type("traced_last");
    await expect.poll(() => page.getByTestId("found").innerText()).toMatch(/^1 functions, 2 calls/);
    await page.keyboard.press("Enter");
    await expect
      .poll(() => page.getByTestId("call").innerText())
      .toMatch(/Function\s+traced_last[\s\S]*Source\s+count\.c:\d+/);
    await page
      .getByTestId("call")
      .getByText(/count\.c/)
      .click();
    await expect
      .poll(() => page.locator(".source .here").innerText())
      .toContain("void traced_last(void)");
  });

  it("zooms and moves by keys, selects a stretch, and adds it up", async () => {
    const { trace, rows } = await record();
    const page = await openPage(await startBrowser(), await startUi(trace));
    await untilRead(page);
    const canvas = page.getByTestId("timeline");
    const box = await canvas.boundingBox();
    if (box === null) throw new Error("no timeline");
    const whole = await settled(page);
    await page.mouse.move(box.x + 400, box.y + 150);
    await page.keyboard.down("w");
    await page.waitForTimeout(600);
    await page.keyboard.up("w");
    const near = await settled(page);
    expect(near.equals(whole)).toBe(false);
    await page.keyboard.press("d", { delay: 200 });
    expect((await settled(page)).equals(near)).toBe(false);
    await page.keyboard.press("0");

    // From the ruler on down, over everything: all threads.
    await page.mouse.move(box.x + 2, box.y + 56);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 3, box.y + 200, { steps: 5 });
    await page.mouse.up();
    await expect.poll(() => page.getByTestId("extent").innerText()).toMatch(/^selection of/);
    const leaf = page.getByTestId("functions").locator("tr", { hasText: "traced_leaf" });
    await expect.poll(() => leaf.innerText()).toContain(callsOf(rows, "traced_leaf"));
    await page.keyboard.press("f");
    await page.getByTestId("flame").waitFor();
    const flame = await page.getByTestId("flame").boundingBox();
    expect(flame?.height).toBeGreaterThan(18 * 4);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByTestId("extent").innerText()).toBe("whole trace");
  });

  it("exports what the command line exports", async () => {
    const { trace } = await record();
    const page = await openPage(await startBrowser(), await startUi(trace));
    await untilRead(page);
    const downloading = page.waitForEvent("download");
    await page.getByLabel("export").selectOption("folded");
    const path = `${tempDir()}/folded`;
    await (await downloading).saveAs(path);
    const { stdout } = await patchbay("export", trace, "--to", "folded");
    expect(readFileSync(path, "utf8").trimEnd()).toBe(stdout.trimEnd());
  });

  it.each([
    [{ width: 1280, height: 720 }, "dark"],
    [{ width: 1920, height: 1080 }, "light"],
  ] as const)("fits %j, %s", async (size, scheme) => {
    const { trace } = await record();
    const page = await openPage(await startBrowser(size, scheme), await startUi(trace));
    await untilRead(page);
    const html = page.locator("html");
    expect(await html.evaluate((element) => element.scrollWidth)).toBe(size.width);
    expect(await html.getAttribute("data-theme")).toBe(scheme);
    await page.getByTitle("Light or dark").click();
    await expect.poll(() => html.getAttribute("data-theme")).not.toBe(scheme);
  });
});
