/**
 * Moving about in a large trace: frames go on while the server is asked, it is asked for little at
 * a time, and for no more when the trace is larger. How long frames took is printed; times decide
 * nothing here (`npm run bench -- ui` measures them).
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { writeSyntheticTrace } from "../../bench/synthetic-trace.ts";
import { openPage, startBrowser, startUi } from "./browser.ts";
import { listProc, tempDir } from "./harness.ts";

/** Milliseconds that answers are kept back, so that there is something to wait for. */
const slowMs = 200;
const holdMs = 700;

/** Counts frames and notes how far apart they are, until it is told to stop. */
const startCounting = `
  window.frameTimes = [];
  let last = performance.now();
  const frame = (now) => {
    window.frameTimes.push(now - last);
    last = now;
    if (window.frameTimes.isOver !== true) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
`;

type Motion = {
  readonly frames: readonly number[];
  readonly requests: number;
  readonly atOnce: number;
  /** Frames that were drawn while an answer was awaited. */
  readonly meanwhile: number;
  readonly bytes: number;
};

/** Goes in, from side to side, and out again, by keys. */
async function move(page: Page): Promise<Motion> {
  let [requests, pending, atOnce, meanwhile, bytes] = [0, 0, 0, 0, 0];
  const drawn = (): Promise<number> => page.evaluate("window.frameTimes.length");
  await page.evaluate(startCounting);
  await page.route(/\/api\/trace\/tiles/, async (route) => {
    requests++;
    atOnce = Math.max(atOnce, ++pending);
    const before = await drawn();
    const answer = await route.fetch();
    bytes += (await answer.body()).length;
    await page.waitForTimeout(slowMs);
    meanwhile += (await drawn()) - before;
    pending--;
    await route.fulfill({ response: answer });
  });
  for (const key of ["w", "d", "w", "a", "s"]) {
    await page.keyboard.down(key);
    await page.waitForTimeout(holdMs);
    await page.keyboard.up(key);
  }
  await expect.poll(() => pending, { timeout: 60_000 }).toBe(0);
  const frames: readonly number[] = await page.evaluate(
    "(window.frameTimes.isOver = true, window.frameTimes.slice(1))",
  );
  await page.unrouteAll({ behavior: "wait" });
  return { frames, requests, atOnce, meanwhile, bytes };
}

/** Opens a trace of so many events, moves about in it, and says how it went. */
async function moveThrough(events: number): Promise<Motion & { readonly traceBytes: number }> {
  const trace = join(tempDir(), "trace");
  writeSyntheticTrace(trace, { seed: 1, events, threads: 2, functions: 500 });
  const traceBytes = listProc(trace).reduce(
    (sum, name) => sum + statSync(join(trace, name)).size,
    0,
  );
  const page = await openPage(await startBrowser(), await startUi(trace));
  await page.waitForSelector("[data-testid=facts][data-indexed-ms]");
  const box = await page.getByTestId("timeline").boundingBox();
  if (box === null) throw new Error("no timeline");
  await page.mouse.move(box.x + box.width / 2, box.y + 100);
  const motion = await move(page);
  const sorted = motion.frames.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0);
  process.stdout.write(
    `${events / 1e6} million events: ${sorted.length} frames, ${at(0.5)} ms apart, 99% within ` +
      `${at(0.99)} ms, all within ${at(1)} ms; ${motion.requests} requests, ${motion.bytes} bytes\n`,
  );
  return { ...motion, traceBytes };
}

describe("moving about in a trace", () => {
  it("waits for no answer, and asks for no more when the trace is larger", async () => {
    const small = await moveThrough(200_000);
    const large = await moveThrough(4_000_000);
    for (const { frames, requests, atOnce, meanwhile } of [small, large]) {
      expect(frames.length).toBeGreaterThan(10);
      expect(requests).toBeGreaterThan(3);
      expect(atOnce).toBeLessThanOrEqual(4);
      expect(meanwhile).toBeGreaterThan(0);
    }
    expect(large.traceBytes).toBeGreaterThan(small.traceBytes * 15);
    // By the number of requests, which follows from the machine's pace.
    expect(large.bytes / large.requests).toBeLessThan((3 * small.bytes) / small.requests);
    expect(large.bytes).toBeLessThan(large.traceBytes / 4);
  });
});
