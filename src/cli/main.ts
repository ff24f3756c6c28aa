#!/usr/bin/env node
/**
 * The command line: one file per verb in `verbs/`, registered here. Exit status: 0 done, 1 the
 * answer is no or the work failed, 2 the call was wrong.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { PatchbayError } from "../index.ts";
import { registerAttach } from "./verbs/attach.ts";
import { registerBuildFix } from "./verbs/build-fix.ts";
import { registerCtl } from "./verbs/ctl.ts";
import { registerDemo } from "./verbs/demo.ts";
import { registerDiff } from "./verbs/diff.ts";
import { registerDirect } from "./verbs/direct.ts";
import { registerDoctor } from "./verbs/doctor.ts";
import { registerExport } from "./verbs/export.ts";
import { registerGraph } from "./verbs/graph.ts";
import { registerInfo } from "./verbs/info.ts";
import { registerLitmus } from "./verbs/litmus.ts";
import { registerPatch } from "./verbs/patch.ts";
import { registerPatches } from "./verbs/patches.ts";
import { registerQuery } from "./verbs/query.ts";
import { registerRecord } from "./verbs/record.ts";
import { registerReport } from "./verbs/report.ts";
import { registerRevert } from "./verbs/revert.ts";
import { registerSites } from "./verbs/sites.ts";
import { registerStat } from "./verbs/stat.ts";
import { registerUi } from "./verbs/ui.ts";
import { registerVerify } from "./verbs/verify.ts";

const verbs: readonly ((program: Command) => void)[] = [
  registerAttach,
  registerBuildFix,
  registerCtl,
  registerDemo,
  registerDirect,
  registerDoctor,
  registerDiff,
  registerExport,
  registerGraph,
  registerInfo,
  registerLitmus,
  registerQuery,
  registerPatch,
  registerPatches,
  registerRecord,
  registerReport,
  registerRevert,
  registerSites,
  registerStat,
  registerUi,
  registerVerify,
];

/** The package's version, from the manifest that stands beside `dist/`. */
function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return JSON.parse(manifest).version;
}

async function main(argv: readonly string[]): Promise<number> {
  const program = new Command("patchbay")
    .description("ftrace for programs in user space, with model-checked patching protocols")
    .version(version(), "-V, --version", "print the version")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      // One line: what it suggests comes on a second one.
      outputError: (text, write) =>
        write(text.replace(/^error: /, "patchbay: ").replace(/\n(?=\()/, " ")),
    });
  for (const register of verbs) register(program);
  try {
    await program.parseAsync(argv);
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof PatchbayError) {
      process.stderr.write(`patchbay: ${error.message}\n`);
      return error.code === "bad-usage" ? 2 : 1;
    }
    throw error;
  }
}

// Whoever reads the output may have seen enough: `patchbay sites ... | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await main(process.argv);
