/**
 * The tidy check: what a formatter and a linter do not look at. `--update-ratchet` lowers the
 * limits in `tools/ratchet.json` to today's counts, and never raises one: to do that, edit the
 * file by hand and give the reason in the commit.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Counts, checkRatchet, countAll, lowerLimits, measureNames } from "./ratchet.ts";
import { formatProblem, isMain, listedFiles, type Problem, readTexts, root } from "./repository.ts";
import { findUnreached, judgeFiles, type SourceFile, sourceFiles } from "./tidy-rules.ts";

const limitsFile = join(root, "tools/ratchet.json");

function readLimits(): Counts | undefined {
  if (!existsSync(limitsFile)) return undefined;
  const limits: unknown = JSON.parse(readFileSync(limitsFile, "utf8"));
  return limits as Counts;
}

/** Everything but lock files, which no person writes. */
const repositoryFiles = (): readonly SourceFile[] =>
  sourceFiles(readTexts(listedFiles().filter((path) => path !== "package-lock.json")));

/** Checks the repository as it stands on disk. */
export function checkRepositoryTidiness(): readonly Problem[] {
  const files = repositoryFiles();
  return [...judgeFiles(files), ...findUnreached(files), ...checkRatchet(files, readLimits())];
}

function updateRatchet(): void {
  const limits = lowerLimits(countAll(repositoryFiles()), readLimits());
  const rows = measureNames.map((name) => `  "${name}": ${JSON.stringify(limits[name])}`);
  writeFileSync(limitsFile, `{\n${rows.join(",\n")}\n}\n`);
}

if (isMain(import.meta.url)) {
  if (process.argv.includes("--update-ratchet")) updateRatchet();
  const problems = checkRepositoryTidiness();
  for (const problem of problems) console.log(formatProblem(problem));
  process.exitCode = problems.length === 0 ? 0 : 1;
}
