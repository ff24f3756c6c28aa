/** Names as people write them, for names that a C++ or Rust compiler made up. */
import { demangleCxx } from "../os/cxa-demangle.ts";
import { makeDemangler } from "../symbols/demangler.ts";
import type { FunctionName } from "../symbols/function-name.ts";

const demangleAny = makeDemangler(demangleCxx);

/** `symbol` as people write it; undefined where it is that already. Each is worked out once. */
export function demangle(symbol: string): string | undefined {
  const name = demangleAny(symbol);
  return name === symbol ? undefined : name;
}

/** `symbol` with its demangled form. */
export const functionName = (symbol: string): FunctionName => ({
  symbol,
  demangled: demangle(symbol),
});
