/**
 * Compares what a fix's debug information says of functions and types with what the program's
 * says: a function that takes other parameters, or a structure that is laid out otherwise, can't be
 * replaced while the program runs.
 */
import { basename } from "node:path";
import { PatchbayError } from "../base/error.ts";
import type { FixFile } from "./fix-file.ts";
import type { Module } from "./process-modules.ts";

/** Of several texts the first, for a message. */
const one = (texts: ReadonlySet<string>): string => [...texts][0] ?? "";

/** Whether none of `texts` is among `others`. */
const differ = (texts: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  ![...texts].some((text) => others.has(text));

/**
 * Refuses what can't be, and gives what should be known otherwise. Says nothing where one of both
 * has no debug information.
 */
export function checkDeclarations(doing: string, module: Module, fix: FixFile): readonly string[] {
  const { replacements, looseEnds } = fix;
  const used = looseEnds.map(({ name }) => name);
  const news = new Set([...used, ...replacements.map(({ by }) => by)]);
  const olds = new Set([...used, ...replacements.map(({ name }) => name)]);
  const next = fix.program.declarations((name) => news.has(name));
  if (next === undefined) return [];
  const old = module.program.declarations((name) => olds.has(name));
  if (old === undefined) return [];
  const refuse = (why: string): PatchbayError =>
    new PatchbayError({
      code: "unsupported",
      doing,
      why,
      hint: `${basename(module.path)} goes on with what it has`,
    });
  for (const { name, by } of replacements) {
    const [was, is] = [old.functions.get(name), next.functions.get(by)];
    if (was === undefined || is === undefined || !differ(is, was)) continue;
    throw refuse(`${name} has another signature: ${one(is)} instead of ${one(was)}`);
  }
  for (const name of used) {
    const [was, is] = [old.variables.get(name), next.variables.get(name)];
    if (was === undefined || is === undefined || !differ(is, was)) continue;
    // An array may be declared without its length.
    if ([...is].some((text) => text.endsWith("[]"))) continue;
    throw refuse(`${name} has another type: ${one(is)} instead of ${one(was)}`);
  }
  for (const [name, layouts] of next.structures) {
    const were = old.structures.get(name);
    if (were === undefined || !differ(layouts, were)) continue;
    throw refuse(`${name} is laid out otherwise: ${one(layouts)} instead of ${one(were)}`);
  }
  return inlinedToo(module, fix);
}

/** Replaced functions that have code of their own, and were inlined besides. */
function inlinedToo(module: Module, { replacements }: FixFile): readonly string[] {
  return replacements.flatMap(({ name }) => {
    const found = module.program.inlining(
      (names) => names.name === name || names.linkageName === name,
    );
    if (found === undefined || found.placeCount === 0) return [];
    const places = found.places.slice(0, 3).map(({ caller, source }) => {
      const where = source === undefined ? "" : ` at ${basename(source.file)}:${source.line}`;
      return `${caller?.name ?? caller?.linkageName ?? "?"}${where}`;
    });
    const where = [...new Set(places)].join(", ");
    return [`${name} was inlined at ${found.placeCount} places, which go on as before: ${where}`];
  });
}
