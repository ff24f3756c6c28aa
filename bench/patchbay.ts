/**
 * Patchbay as its users have it: the built package (`npm run build` comes first), with the types of
 * the sources.
 */
type Patchbay = typeof import("../src/index.ts");

const built = new URL("../dist/index.js", import.meta.url).href;

export const patchbay: Patchbay = (await import(built)) as Patchbay;
