/**
 * `npm test`: everything there is to pass, on a machine that may be bare. Installs the system
 * packages that are missing, builds, and runs the stages of `npm run check` and all tiers of
 * tests. A stage counts as one test; the last line is `N passed, N failed`, and how many were
 * skipped where any were.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "./run-command.ts";
import { commandStage, gates, installed, runStage, type Stage } from "./stages.ts";
import { provide, systemPackages } from "./system-packages.ts";
import { formatTally, oneFailed, onePassed, sumTallies, type Tally, tallyOf } from "./tally.ts";

/**
 * The tiers of tests and the longest that each may take: several times what they take on a quiet
 * machine of two cores.
 */
const tiers: readonly { readonly name: string; readonly timeoutMs: number }[] = [
  { name: "unit", timeoutMs: 10 * 60_000 },
  { name: "oracle", timeoutMs: 20 * 60_000 },
  { name: "live", timeoutMs: 45 * 60_000 },
];

const packages: Stage = { name: "packages", run: () => provide(systemPackages) };
const build = commandStage("build", ["npm", "run", "--silent", "build"]);

/** Runs one of the Vitest projects, its progress shown as it goes. */
async function runTier(name: string, timeoutMs: number): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-test-"));
  const reportFile = join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const startMs = performance.now();
  try {
    const { ok } = await runCommand([installed("vitest"), "run", "--project", name, ...reporters], {
      timeoutMs,
      show: true,
    });
    const report: unknown = existsSync(reportFile)
      ? JSON.parse(readFileSync(reportFile, "utf8"))
      : undefined;
    const tally = tallyOf(report, ok);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${name}: ${formatTally(tally)} in ${seconds} s`);
    return tally;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function main(): Promise<Tally> {
  // Nothing below means much on a machine where the tools are missing.
  if (!(await runStage(packages))) return oneFailed;
  const tallies: Tally[] = [onePassed];
  const isBuilt = await runStage(build);
  tallies.push(isBuilt ? onePassed : oneFailed);
  for (const stage of gates) tallies.push((await runStage(stage)) ? onePassed : oneFailed);
  for (const { name, timeoutMs } of tiers) {
    // The live tests run what is in dist/, which is then an older build or none.
    if (name === "live" && !isBuilt) console.log("live: not run, since the build failed");
    else tallies.push(await runTier(name, timeoutMs));
  }
  return sumTallies(tallies);
}

const total = await main();
process.exitCode = total.failed === 0 ? 0 : 1;
console.log(formatTally(total));
