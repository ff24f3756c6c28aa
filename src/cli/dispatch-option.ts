/** `--dispatch` and `--site-design`: how functions reach what is done at them. */
import { Option } from "commander";
import { type DispatchCounts, dispatchForms, plural, siteDesigns } from "../index.ts";

export const dispatchOption = (): Option =>
  new Option("--dispatch <form>", "how functions reach their ops (docs/dispatch.md)").choices(
    dispatchForms,
  );

export const siteDesignOption = (): Option =>
  new Option("--site-design <design>", "how sites get to their trampoline, on RISC-V").choices(
    siteDesigns,
  );

/** Why functions have another form than was asked for, most frequent first. */
export const describeReasons = ({ reasons }: DispatchCounts): readonly string[] =>
  Object.entries(reasons)
    .sort(([, a], [, b]) => b - a)
    .map(([why, count]) => `another dispatch for ${plural(count, "function")}: ${why}`);
