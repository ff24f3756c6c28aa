/** What the target layer wants to know of a process that only its files say. */
import { findByName, type SymbolTable } from "../symbols/symbol-table.ts";
import type { TargetFacts } from "../target/injection.ts";
import {
  lockingFunctions,
  type TextRange,
  type Unwinder,
} from "../target/unwinder-registration.ts";
import { addressIn, type Module } from "./process-modules.ts";

/** libgcc's entry points for frames that no file describes (libgcc/unwind-dw2-fde.h). */
const registerName = "__register_frame_info";
const deregisterName = "__deregister_frame_info";

/** The copy of libgcc's unwinder in a module, if it has one. */
function findUnwinder(module: Module): Unwinder | undefined {
  const symbols: SymbolTable = module.program.symbols();
  const register = findByName(symbols, registerName);
  const deregister = findByName(symbols, deregisterName);
  if (register === undefined || deregister === undefined) return undefined;
  return {
    register: addressIn(module, register.addr),
    deregister: addressIn(module, deregister.addr),
  };
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
