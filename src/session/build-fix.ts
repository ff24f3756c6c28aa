/**
 * Makes a fix from two versions of a source file, with the compiler and the options that the
 * program was built with. Both are compiled, and the functions whose code differs make up the fix;
 * what they use of the rest of the file is the running program's.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { makeFixObject } from "../elf/fix-object.ts";
import { diffObjects, type ObjectDiff } from "../elf/object-diff.ts";
import { type ObjectFile, parseObject } from "../elf/object-file.ts";
import { diffLayouts } from "./object-types.ts";
import { guardFormat, openProgramFile } from "./program-file.ts";

export type BuildFixOptions = {
  /** The compiler's options that the file was built with. */
  readonly flags?: readonly string[];
  /** gcc unless said otherwise. */
  readonly compiler?: string;
  /** The library to write; the new file's name with `.so` unless said otherwise. */
  readonly output?: string;
  /** The program that it is for (a file): the fix is refused by any other build of it. */
  readonly program?: string;
  /** Base name under which the program knows the source file, where it is not the old one's. */
  readonly source?: string;
};

export type BuiltFix = Pick<ObjectDiff, "changed" | "added" | "removed"> & {
  readonly path: string;
  readonly madeFor: string | undefined;
};

/** What both versions are compiled with beside the user's options. */
const apart = ["-ffunction-sections", "-fdata-sections", "-fno-lto", "-c"] as const;
/**
 * What the fix is compiled with: it may lie anywhere, and takes no registers for granted that the
 * program's own functions use.
 */
const anywhere = ["-fno-pic", "-fno-pie", "-mcmodel=large", "-fno-ipa-ra", "-fno-jump-tables"];

type Compiler = {
  readonly doing: string;
  readonly command: string;
  readonly flags: readonly string[];
  readonly folder: string;
};

/** Runs the compiler; fails with the first line of what it says. */
async function compile({ doing, command }: Compiler, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
  const said: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => said.push(chunk));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  }).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "ENOENT" ? `there is no ${command}` : error.message;
    throw new PatchbayError({ code: "missing-tool", doing, why, hint: "--cc COMPILER" });
  });
  if (status === 0) return;
  const lines = Buffer.concat(said).toString("utf8").split("\n");
  const first = lines.find((line) => /error/.test(line)) ?? lines[0];
  const why = `${command} failed: ${first === "" ? `status ${status}` : first}`;
  throw new PatchbayError({ code: "system", doing, why });
}

/** Compiles `source` into an object file of its own; `name` tells them apart. */
async function objectOf(
  compiler: Compiler,
  source: string,
  name: string,
  more: readonly string[],
): Promise<ObjectFile> {
  const path = join(compiler.folder, `${name}.o`);
  await compile(compiler, [...compiler.flags, "-g", ...apart, ...more, source, "-o", path]);
  return guardFormat(compiler.doing, () => parseObject(new Uint8Array(readFileSync(path))));
}

/** Compares `oldPath` to `newPath`, two versions of one source file, and links a fix of it. */
export async function buildFix(
  oldPath: string,
  newPath: string,
  options: BuildFixOptions = {},
): Promise<BuiltFix> {
  const { flags = [], compiler: command = "gcc", program } = options;
  const doing = `build a fix from ${oldPath} and ${newPath}`;
  for (const path of [oldPath, newPath]) {
    if (existsSync(path)) continue;
    throw new PatchbayError({ code: "io", doing, why: `there is no file ${path}` });
  }
  const madeFor = program === undefined ? undefined : openProgramFile(program).buildId;
  if (program !== undefined && madeFor === undefined) {
    throw new PatchbayError({ code: "unsupported", doing, why: `${program} has no build-id` });
  }
  const output = resolve(options.output ?? basename(newPath).replace(/\.[^.]*$/, ".so"));
  const source = options.source ?? basename(oldPath);
  const folder = mkdtempSync(join(tmpdir(), "patchbay-fix-"));
  const compiler: Compiler = { doing, command, flags, folder };
  try {
    // The file's own name is in messages of assert() and the like: no reason to differ.
    const sameName = `-fmacro-prefix-map=${newPath}=${oldPath}`;
    const compiling = [
      objectOf(compiler, oldPath, "old", []),
      objectOf(compiler, newPath, "new", [sameName]),
      objectOf(compiler, newPath, "fix", [sameName, ...anywhere]),
    ] as const;
    // The folder is theirs until the last one is done, also when one fails.
    await Promise.allSettled(compiling);
    const [before, after, large] = await Promise.all(compiling);
    const diff = diffObjects(before, after);
    refuseData(doing, diff, before, after);
    const changed = diff.changed.filter((name) => !isPart(name));
    if (changed.length === 0) {
      throw new PatchbayError({
        code: "no-match",
        doing,
        why: "no function's code differs",
        hint: "the options behind -- have to be those that the program was built with",
      });
    }
    const parts = { before, after: large, changed, source, madeFor };
    const made = guardFormat(doing, () => makeFixObject(parts));
    if (!made.ok) throw new PatchbayError({ code: "unsupported", doing, why: made.error });
    const object = join(folder, "patchbay-fix.o");
    writeFileSync(object, made.value);
    const link = ["-shared", "-Wl,-z,notext", "-Wl,--no-warnings", "-o", output, object];
    await compile(compiler, link);
    return { path: output, changed, added: diff.added, removed: diff.removed, madeFor };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Parts that a compiler splits off: they come with the function. */
const isPart = (name: string): boolean => /\.cold(\.\d+)?$/.test(name);

/** Refuses changes of what the running program has in its memory already. */
function refuseData(doing: string, diff: ObjectDiff, before: ObjectFile, after: ObjectFile): void {
  const [data] = diff.data;
  if (data !== undefined) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `static data changes: ${data.name} ${data.how}`,
      hint: "the running program's stays as it is; new code can allocate what it needs",
    });
  }
  const [layout] = diffLayouts(before, after);
  if (layout !== undefined) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `${layout.name} is laid out otherwise: ${layout.how}`,
      hint: "the running program has such data already",
    });
  }
  const clone = diff.changed.find((name) => name.includes(".") && !isPart(name));
  if (clone !== undefined) {
    throw new PatchbayError({
      code: "unsupported",
      doing,
      why: `the compiler made ${clone} of a function that changes`,
      hint: "it is called in a way of its own: mark the function __attribute__((noclone))",
    });
  }
}
