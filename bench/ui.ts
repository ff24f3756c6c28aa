/**
 * The browser's view of a large trace: how long until it can be looked at, how long until all of it
 * has been read, and how long a frame takes while one moves about. `BENCH_EVENTS` is the number of
 * events; the browser draws without a graphics processor.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { BrowserPage } from "../tools/browser-page.ts";
import { writeSyntheticTrace } from "./synthetic-trace.ts";
import type { Row, Table } from "./table.ts";

const events = Number(process.env["BENCH_EVENTS"] ?? 50e6);
const holdMs = 2500;

/** Frames while keys are held, in ms each. */
async function frames(page: Page, keys: readonly string[]): Promise<readonly number[]> {
  const script = `new Promise((resolve) => {
    const times = [];
    let last = performance.now();
    const end = last + ${keys.length * holdMs};
    const frame = (now) => {
      times.push(now - last);
      last = now;
      if (now < end) requestAnimationFrame(frame);
      else resolve(times.slice(1));
    };
    requestAnimationFrame(frame);
  })`;
  const measured: Promise<readonly number[]> = page.evaluate(script);
  for (const key of keys) {
    await page.keyboard.down(key);
    await page.waitForTimeout(holdMs);
    await page.keyboard.up(key);
  }
  return await measured;
}

function row(motion: string, times: readonly number[]): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return {
    motion,
    frames: times.length,
    "median ms": at(0.5),
    "p95 ms": at(0.95),
    "p99 ms": at(0.99),
    "longest ms": at(1),
  };
}

/** Opens a trace of 50 million events and moves about in it; half a minute. */
export async function run(): Promise<readonly Table[]> {
  const home = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
  try {
    const trace = join(home, "trace");
    writeSyntheticTrace(trace, { seed: 1, events, threads: 4, functions: 2000 });
    const begin = performance.now();
    await using view = await BrowserPage.open([trace], {
      width: 1920,
      height: 1080,
      scheme: "light",
    });
    const { page } = view;
    await page.getByTestId("timeline").waitFor();
    const seen = performance.now() - begin;
    const facts = page.locator("[data-testid=facts][data-indexed-ms]");
    await facts.waitFor();
    const indexed = Number(await facts.getAttribute("data-indexed-ms"));
    const busy = view.serverSeconds();
    await page.waitForTimeout(2000);
    await page.mouse.move(900, 400);
    const rows = [
      row("left and right over all of it", await frames(page, ["d", "a"])),
      row("in, to single calls", await frames(page, ["w", "w"])),
      row("left and right among single calls", await frames(page, ["d", "a"])),
      row("out again", await frames(page, ["s", "s"])),
    ];
    return [
      {
        title: `The browser's view of ${events / 1e6} million events`,
        notes: [
          `page there ${(seen / 1000).toFixed(2)} s after the command, browser's start included`,
          `all events read ${(indexed / 1000).toFixed(2)} s after the trace was opened`,
          `processor time of the server until then ${busy.toFixed(2)} s, its start included`,
        ],
        rows,
      },
    ];
  } finally {
    rmSync(home, { recursive: true });
  }
}
