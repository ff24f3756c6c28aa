/**
 * C++ names through the C++ library's own `__cxa_demangle` (Itanium C++ ABI, section 3.4). The
 * library is loaded when the first name is asked for, and need not be there.
 */
import koffi from "koffi";
import type { Demangler } from "../symbols/demangler.ts";

/** libstdc++ of gcc, libc++abi of LLVM. */
const libraries = ["libstdc++.so.6", "libc++abi.so.1"] as const;

/** char *__cxa_demangle(const char *name, char *out, size_t *size, int *status) */
type CxaDemangle = (name: string, out: null, size: null, status: Int32Array) => string | null;

function loadDemangle(): Demangler | undefined {
  // Text that the library allocates, copied into a string and freed by koffi.
  const text = koffi.disposable("str", koffi.load(null).func("void free(void *p)"));
  const parameters = ["const char *", "void *", "void *", koffi.out(koffi.pointer("int"))];
  for (const name of libraries) {
    try {
      const library = koffi.load(name);
      const call: CxaDemangle = library.func("__cxa_demangle", text, parameters);
      return (raw) => call(raw, null, null, new Int32Array(1)) ?? undefined;
    } catch {
      // Not installed: the next one may be.
    }
  }
  return undefined;
}

let loaded: { readonly demangle: Demangler | undefined } | undefined;

/** Undoes C++ mangling; undefined for other names, and where no C++ library is installed. */
export const demangleCxx: Demangler = (raw) => {
  if (!raw.startsWith("_Z")) return undefined;
  loaded ??= { demangle: loadDemangle() };
  return loaded.demangle?.(raw);
};
