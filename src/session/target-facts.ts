/** What the target layer wants to know of a process that only its files say. */
import { ensure } from "../base/assert.ts";
import { codeAddr } from "../base/brand.ts";
import { textSegments } from "../elf/elf-file.ts";
import { findByName, type SymbolTable } from "../symbols/symbol-table.ts";
import type { TargetFacts } from "../target/injection.ts";
import type { Unwinder } from "../target/unwinder-registration.ts";
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

export function targetFacts(modules: readonly Module[]): TargetFacts {
  const executable = ensure(modules[0], "a process has an executable");
  return {
    unwinders: modules.map(findUnwinder).filter((unwinder) => unwinder !== undefined),
    ownText: textSegments(executable.program.elf).map(({ addr, memSize }) => {
      const start = codeAddr(BigInt(addr) + executable.bias);
      return { start, end: start + BigInt(memSize) };
    }),
  };
}
