#!/usr/bin/env node
/**
 * The command line: one file per verb in `verbs/`, registered here. Exit status: 0 done, 1 the
 * answer is no or the work failed, 2 the call was wrong.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Help, type Option, type OutputConfiguration } from "commander";

/** Adds a verb. */
type Register = (program: Command) => void;

/** By name; each is loaded when it is asked for. */
const verbs: Readonly<Record<string, () => Promise<Register>>> = {
  attach: async () => (await import("./verbs/attach.ts")).registerAttach,
  "build-fix": async () => (await import("./verbs/build-fix.ts")).registerBuildFix,
  ctl: async () => (await import("./verbs/ctl.ts")).registerCtl,
  demo: async () => (await import("./verbs/demo.ts")).registerDemo,
  direct: async () => (await import("./verbs/direct.ts")).registerDirect,
  doctor: async () => (await import("./verbs/doctor.ts")).registerDoctor,
  diff: async () => (await import("./verbs/diff.ts")).registerDiff,
  export: async () => (await import("./verbs/export.ts")).registerExport,
  graph: async () => (await import("./verbs/graph.ts")).registerGraph,
  info: async () => (await import("./verbs/info.ts")).registerInfo,
  litmus: async () => (await import("./verbs/litmus.ts")).registerLitmus,
  query: async () => (await import("./verbs/query.ts")).registerQuery,
  patch: async () => (await import("./verbs/patch.ts")).registerPatch,
  patches: async () => (await import("./verbs/patches.ts")).registerPatches,
  record: async () => (await import("./verbs/record.ts")).registerRecord,
  report: async () => (await import("./verbs/report.ts")).registerReport,
  revert: async () => (await import("./verbs/revert.ts")).registerRevert,
  sites: async () => (await import("./verbs/sites.ts")).registerSites,
  stat: async () => (await import("./verbs/stat.ts")).registerStat,
  ui: async () => (await import("./verbs/ui.ts")).registerUi,
  verify: async () => (await import("./verbs/verify.ts")).registerVerify,
};

/** The package's version, from the manifest that stands beside `dist/`. */
function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return JSON.parse(manifest).version;
}

/** How the parser's refusals are said: on one line, with what it suggests or where to look. */
const refusing = (help: string): OutputConfiguration => ({
  outputError: (text, write) => {
    const line = text
      .replace(/^error: /, "patchbay: ")
      .trimEnd()
      .replace(/\n(?=\()/, " ");
    write(`${line.endsWith(")") ? line : `${line} (${help})`}\n`);
  },
});

/** An option's help; that it is off or empty unless it is given goes without saying. */
const describeOption = (option: Option): string =>
  option.defaultValue === false || Array.isArray(option.defaultValue)
    ? option.description
    : new Help().optionDescription(option);

const isVersion = ([, , word]: readonly string[]): boolean => word === "-V" || word === "--version";

async function main(argv: readonly string[]): Promise<number> {
  const program = new Command("patchbay")
    .description("ftrace for programs in user space, with model-checked patching protocols")
    .version(version(), "-V, --version", "print the version")
    .enablePositionalOptions()
    .configureHelp({ optionDescription: describeOption })
    .configureOutput(refusing("patchbay --help"))
    .exitOverride();
  // Commander answers `help NOPE` with the help of all.
  const isAskedAbout = argv[2] === "help" && argv[3] !== undefined && argv[3] !== "help";
  if (isAskedAbout && !Object.hasOwn(verbs, argv[3] ?? "")) argv = argv.toSpliced(2, 1);
  // Help and suggestions are about all of them.
  const name = argv[2] ?? "";
  const wanted = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  const loads = wanted === undefined && !isVersion(argv) ? Object.values(verbs) : [wanted];
  for (const load of loads) (await load?.())?.(program);
  for (const verb of program.commands) {
    verb.configureOutput(refusing(`patchbay ${verb.name()} --help`));
  }
  try {
    await program.parseAsync(argv);
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { PatchbayError } = await import("../reading.ts");
    if (error instanceof PatchbayError) {
      process.stderr.write(`patchbay: ${error.message}\n`);
      return error.code === "bad-usage" ? 2 : 1;
    }
    throw error;
  }
}

async function tellOutputProblem(error: Error): Promise<void> {
  const { fileProblem } = await import("../reading.ts");
  const { message } = fileProblem("write to standard output", error);
  process.stderr.write(`patchbay: ${message}\n`);
}

// Whoever reads the output may have seen enough: `patchbay sites ... | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return;
  process.exitCode = 1;
  tellOutputProblem(error).catch(() => undefined);
});
// Nobody listens any more: what was begun in a process is brought to its end all the same.
process.stderr.on("error", () => undefined);
process.exitCode = await main(process.argv);
