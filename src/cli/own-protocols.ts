/**
 * Protocols of somebody's own: modules that export checks, run in a process of their own, in which
 * `patchbay` means this package wherever the file stands. JavaScript always; TypeScript where
 * Node.js strips types (22.6 and later), or through tsx when it is installed beside the file.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Check, type Family, machines, PatchbayError } from "../index.ts";
import type { VerifyFlags } from "./verify-actions.ts";

/** Names that are files and not protocols. */
export const isProtocolFile = (name: string): boolean => /\.[cm]?[jt]s$/.test(name);

const isTypeScript = (file: string): boolean => /\.[cm]?ts$/.test(file);

const refuse = (file: string, why: string, hint?: string): PatchbayError =>
  new PatchbayError({
    code: "bad-usage",
    doing: `load protocols from ${file}`,
    why,
    ...(hint === undefined ? {} : { hint }),
  });

/** Where a package is found from a file; `undefined`: nowhere. */
function findPackage(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** Arguments of Node.js with which it reads a TypeScript file. */
function typeScriptArguments(file: string): readonly string[] {
  const tsx = findPackage("tsx", resolve(file)) ?? findPackage("tsx", import.meta.url);
  if (tsx !== undefined) return ["--import", pathToFileURL(tsx).href];
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 6)) return ["--experimental-strip-types"];
  throw refuse(
    file,
    `Node.js ${process.versions.node} does not read TypeScript`,
    "compile it to JavaScript, install tsx beside it, or use Node.js 22.6 or later",
  );
}

/**
 * Sends `import ... from "patchbay"`, and from this package's sources, to the one copy of the
 * package that runs: native libraries are not loaded twice.
 */
const hook = (index: string, source: string): string => `
export const resolve = async (specifier, context, next) => {
  const one = { url: ${JSON.stringify(index)}, shortCircuit: true };
  if (specifier === "patchbay") return one;
  const found = await next(specifier, context);
  return found.url.split("?")[0] === ${JSON.stringify(source)} ? one : found;
};`;

/** What the process runs: load each file, take its families, carry out the call. */
function childScript(
  files: readonly string[],
  names: readonly string[],
  flags: VerifyFlags,
): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const sibling = (path: string): string => new URL(`${path}.${extension}`, import.meta.url).href;
  const source = new URL("../../src/index.ts", import.meta.url).href;
  const hookText = hook(sibling("../index"), source);
  const hookUrl = `data:text/javascript,${encodeURIComponent(hookText)}`;
  const text = JSON.stringify;
  const loads = files.map((file) => {
    const url = pathToFileURL(resolve(file)).href;
    return `await load(${text(file)}, () => import(${text(url)}))`;
  });
  return `
import { register } from "node:module";
import { load, report } from ${text(sibling("own-protocols"))};
import { verifyFamilies } from ${text(sibling("verify-actions"))};
register(${text(hookUrl)});
try {
  const own = [${loads.join(", ")}].flat();
  verifyFamilies(${text(names)}, own, ${text(flags)});
} catch (error) {
  report(${text(files.join(", "))}, error);
}`;
}

/** Runs the verb on files of the user's, in a process of its own. */
export function runOnFiles(
  files: readonly string[],
  names: readonly string[],
  flags: VerifyFlags,
): void {
  for (const file of files) if (!existsSync(file)) throw refuse(file, "there is no such file");
  const typed = files.find(isTypeScript);
  const more = typed === undefined ? [] : typeScriptArguments(typed);
  const script = childScript(files, names, flags);
  const options = ["--no-warnings", ...process.execArgv, ...more, "--input-type=module"];
  const { status } = spawnSync(process.execPath, [...options, "--eval", script], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
}

/**
 * In the process: an error as the command line prints it, and its status. What the checker asserts
 * of protocols is the author's business here, and no reason for a stack trace.
 */
export function report(files: string, error: unknown): void {
  const known = error instanceof PatchbayError ? error : undefined;
  const text = error instanceof Error ? error.message : String(error);
  const why = text.replace(/^assertion failed: /, "");
  process.stderr.write(`patchbay: ${known?.message ?? `check protocols of ${files}: ${why}`}\n`);
  process.exitCode = known === undefined || known.code === "bad-usage" ? 2 : 1;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** What the checker can't do without; the rest is the type checker's business. */
const isCheck = (value: unknown): value is Check =>
  isObject(value) &&
  isObject(value["protocol"]) &&
  typeof value["protocol"]["id"] === "string" &&
  Array.isArray(value["protocol"]["enable"]) &&
  isObject(value["design"]) &&
  isObject(value["design"]["states"]) &&
  typeof value["machine"] === "string" &&
  value["machine"] in machines &&
  Array.isArray(value["adversities"]) &&
  typeof value["expected"] === "string";

const isFamily = (value: unknown): value is Family =>
  isObject(value) &&
  typeof value["id"] === "string" &&
  Array.isArray(value["checks"]) &&
  value["checks"].every(isCheck);

/** Why a module could not be loaded, on one line. */
function refuseModule(file: string, text: string): PatchbayError {
  // Node.js adds who wanted the module; the compiler, where the mistake is.
  const [line = ""] = text.split(/\n(?:Require stack|Did you mean)/);
  const isOurs = /Cannot find (module|package) 'patchbay'/.test(line);
  const hint = isOurs ? "npm install patchbay in the directory of that file" : undefined;
  return refuse(file, line.trim().replaceAll(/\s*\n\s*/g, " "), hint);
}

/** In the process: the families that a module exports, as they are or as arrays of checks. */
export async function load(
  file: string,
  importFile: () => Promise<unknown>,
): Promise<readonly Family[]> {
  let module: unknown;
  try {
    module = await importFile();
  } catch (error) {
    throw refuseModule(file, error instanceof Error ? error.message : String(error));
  }
  const exported = isObject(module) ? Object.values(module) : [];
  const found = exported.flatMap((value): Family[] => {
    if (isFamily(value)) return [value];
    if (!Array.isArray(value) || value.length === 0 || !value.every(isCheck)) return [];
    return [{ id: "own", title: basename(file), source: file, checks: value }];
  });
  if (found.length > 0) return found;
  throw refuse(
    file,
    "it exports no checks",
    "export `checks`, made with checksFor(), as docs/protocols/your-own.md shows",
  );
}
