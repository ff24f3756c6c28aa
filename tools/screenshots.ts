/**
 * The pictures in `docs/images`: `npx tsx tools/screenshots.ts`, after a build. They show the
 * demo's program as it was traced, and counted, at that moment.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Page } from "playwright-core";
import { BrowserPage, type Look } from "./browser-page.ts";
import { root } from "./repository.ts";

const images = join(root, "docs/images");
const size = { width: 1280, height: 760 };
const light: Look = { ...size, scheme: "light" };
const dark: Look = { ...size, scheme: "dark" };

const save = async (page: Page, name: string): Promise<void> => {
  // Nothing hovers over the picture.
  await page.mouse.move(2, 2);
  await page.waitForTimeout(600);
  await page.screenshot({ path: join(images, `${name}.png`) });
};

/** A moment of a trace with its flame graph. */
async function shootTrace(home: string): Promise<void> {
  await using view = await BrowserPage.open(["trace"], light, home);
  const { page } = view;
  await page.waitForSelector("[data-testid=facts][data-indexed-ms]");
  await page.waitForSelector("[data-testid=functions] tbody tr");
  const box = await page.getByTestId("timeline").boundingBox();
  if (box === null) throw new Error("there is no timeline");
  // Where a tree of the database is balanced, there is something to see.
  await page.getByLabel("search functions").fill("balance_nonroot");
  await page.keyboard.press("Enter");
  await page.getByTestId("call").waitFor();
  await page.keyboard.press("Escape");
  await page.mouse.move(box.x + 640, box.y + 160);
  await page.keyboard.press("w", { delay: 300 });
  await page.waitForTimeout(1000);
  // From the time axis on down: all threads.
  await page.mouse.move(box.x + 300, box.y + 56);
  await page.mouse.down();
  await page.mouse.move(box.x + 960, box.y + 120, { steps: 8 });
  await page.mouse.up();
  await page.getByRole("tab", { name: "Flame graph" }).click();
  await page.waitForTimeout(1500);
  await save(page, "trace");
}

async function shootProtocols(): Promise<void> {
  await using view = await BrowserPage.open([], dark);
  const { page } = view;
  await page.locator(".protocol-item", { hasText: "no sync behind the tail" }).click();
  await page.getByRole("button", { name: "Check all of these" }).click();
  await page.getByRole("button", { name: /^Stop/ }).waitFor();
  await page.getByRole("button", { name: /^Check all \d/ }).waitFor();
  await page.getByRole("button", { name: "Play", exact: true }).first().click();
  await page.getByTestId("player").waitFor();
  await page.getByLabel("step").focus();
  for (let step = 0; step < 2; step++) await page.getByTitle(/A step back/).click();
  await page.locator(".protocol-body").evaluate((body) => body.scrollTo(0, body.scrollHeight));
  await save(page, "protocols");
}

/** The demo's program, with work to do. */
async function shootLive(): Promise<void> {
  const folder = join(root, "build/demo");
  const program = readdirSync(folder).find((name) => name.startsWith("workload"));
  if (program === undefined) throw new Error("the demo's program is not there");
  // A shell in between: of its own children, Node collects the stops that ptrace reports.
  const target = spawn("/bin/sh", ["-c", '"$@"; exit $?', "sh", join(folder, program)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    let pid = "";
    for await (const line of createInterface({ input: target.stdout })) {
      if (line.startsWith("pid ")) pid = line.slice(4);
      if (pid !== "") break;
    }
    target.stdout.resume();
    await using view = await BrowserPage.open(["-p", pid], light);
    const { page } = view;
    await page.getByLabel("search functions of the process").fill("sqlite3*");
    await page.getByRole("button", { name: /^Watch these/ }).click();
    await page.getByTestId("live-functions").getByText("sqlite3_step").click();
    await page.locator(".live-table").evaluate((table) => table.scrollTo(0, 0));
    await page.getByTestId("histogram").locator("canvas").waitFor();
    await page.waitForTimeout(15_000);
    await save(page, "live");
  } finally {
    target.stdin.end();
  }
}

const home = mkdtempSync(join(tmpdir(), "patchbay-pictures-"));
try {
  mkdirSync(images, { recursive: true });
  const trace = join(home, "trace");
  const demo = [join(root, "dist/cli/main.js"), "demo", "--keep", trace];
  execFileSync(process.execPath, demo, { stdio: "ignore" });
  await shootTrace(home);
  await shootProtocols();
  await shootLive();
} finally {
  rmSync(home, { recursive: true });
}
