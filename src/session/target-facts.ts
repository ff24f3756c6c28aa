/** What the target layer wants to know of a process that only its files say. */
import type { CodeAddr } from "../base/brand.ts";
import { findByName, type SymbolTable } from "../symbols/symbol-table.ts";
import type { TargetFacts } from "../target/injection.ts";
import {
  lockingFunctions,
  type TextRange,
  type Unwinder,
  type UnwinderContext,
} from "../target/unwinder-registration.ts";
import { addressIn, type Module } from "./process-modules.ts";

/**
 * Entry points for frames that no file describes: LLVM's (libunwind_ext.h), and libgcc's
 * (unwind-dw2-fde.h). LLVM's library has the latter too, and they do nothing there.
 */
const entryPoints = [
  { takes: "fde", register: "__unw_add_dynamic_fde", deregister: "__unw_remove_dynamic_fde" },
  { takes: "image", register: "__register_frame_info", deregister: "__deregister_frame_info" },
] as const;

/** Functions of the C++ ABI that every unwinder has. */
function findContext(find: (name: string) => CodeAddr | undefined): UnwinderContext | undefined {
  const getIp = find("_Unwind_GetIP");
  const setIp = find("_Unwind_SetIP");
  const setGr = find("_Unwind_SetGR");
  const resume = find("_Unwind_Resume");
  const getCfa = find("_Unwind_GetCFA");
  if (getCfa === undefined || getIp === undefined || setIp === undefined) return undefined;
  if (setGr === undefined || resume === undefined) return undefined;
  return { getIp, setIp, setGr, resume, getCfa };
}

/** The copy of an unwinder in a module, if it has one. */
function findUnwinder(module: Module): Unwinder | undefined {
  const symbols: SymbolTable = module.program.symbols();
  const find = (name: string): CodeAddr | undefined => {
    const found = findByName(symbols, name);
    return found === undefined ? undefined : addressIn(module, found.addr);
  };
  for (const { takes, ...names } of entryPoints) {
    const register = find(names.register);
    const deregister = find(names.deregister);
    if (register === undefined || deregister === undefined) continue;
    return { takes, register, deregister, context: findContext(find) };
  }
  return undefined;
}

/** The functions of a module that hold locks which registration takes. */
function findLocking(module: Module): TextRange[] {
  const symbols = module.program.symbols();
  return lockingFunctions.flatMap((name) => {
    const found = findByName(symbols, name);
    if (found === undefined) return [];
    const start = addressIn(module, found.addr);
    return [{ start, end: start + BigInt(Math.max(1, found.size)) }];
  });
}

export const targetFacts = (modules: readonly Module[]): TargetFacts => ({
  unwinders: modules.map(findUnwinder).filter((unwinder) => unwinder !== undefined),
  locking: modules.flatMap(findLocking),
});
