/**
 * Patchbay's public API. The command line is a thin shell on this file and imports nothing else.
 */
export { type ErrorCode, type ErrorDetails, PatchbayError } from "./base/error.ts";
