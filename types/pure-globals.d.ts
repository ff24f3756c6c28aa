/**
 * What the pure layers may use of their surroundings besides the language itself: text in and out
 * of bytes, which every runtime has (WHATWG Encoding Standard). tsconfig.pure.json compiles them
 * with these declarations and without Node's, so that a stray `Buffer` or `process` is an error.
 */

declare class TextDecoder {
  constructor(label?: string, options?: { readonly fatal?: boolean; readonly ignoreBOM?: boolean });
  decode(
    input?: ArrayBufferView | ArrayBufferLike,
    options?: { readonly stream?: boolean },
  ): string;
}

declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
  encodeInto(
    source: string,
    destination: Uint8Array,
  ): { readonly read: number; readonly written: number };
}
