/** What a call of the target's worker fails with when the target has gone meanwhile. */
import { PatchbayError } from "../base/error.ts";

/** Whether the target is gone. */
export const hasEnded = (error: unknown): boolean =>
  error instanceof PatchbayError &&
  (error.code === "no-such-process" || error.code === "target-exited");
