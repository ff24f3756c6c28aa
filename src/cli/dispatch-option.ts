/** `--dispatch`: how functions reach what is done at them. */
import { Option } from "commander";
import { type DispatchCounts, dispatchForms } from "../index.ts";

export const dispatchOption = (): Option =>
  new Option("--dispatch <form>", "how functions reach their ops (docs/dispatch.md)").choices(
    dispatchForms,
  );

/** Why functions have another form than was asked for, most frequent first. */
export const describeReasons = ({ reasons }: DispatchCounts): readonly string[] =>
  Object.entries(reasons)
    .sort(([, a], [, b]) => b - a)
    .map(([why, count]) => `${count} functions have another dispatch: ${why}`);
