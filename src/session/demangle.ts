/** Names as people write them, for names that a C++ or Rust compiler made up. */
export const demangle = (_name: string): string | undefined => undefined;
