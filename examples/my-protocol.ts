/**
 * A protocol of one's own: `patchbay verify examples/my-protocol.ts`.
 *
 * The idea under test: on x86-64, write the call's last four bytes first, then its first byte, and
 * let one sync at the end tell everybody. Is the order of two stores enough?
 */
// In a project of its own: from "patchbay".
import { type Check, checksFor, designs, type Protocol, steps } from "../src/index.ts";

const { membarrierSync, quiesceTasks, toNew, window, write } = steps;

const tailThenHead: readonly steps.Step[] = [
  write(window(1, "rest"), toNew),
  write(window(0, 1), toNew),
  membarrierSync,
];

export const protocol: Protocol = {
  id: "mine/tail-then-head",
  title: "the last four bytes, then the first, then a sync",
  enable: tailThenHead,
  disable: tailThenHead,
  retire: [quiesceTasks],
};

/** It is not: between the two stores everybody meets the old first byte with the new tail. */
export const checks: readonly Check[] = checksFor(
  {
    protocol,
    design: designs.x86Call,
    expected: "unwritten-instruction",
    reason: "the old first byte with the new tail",
  },
  ["x86-intel", "x86-amd", "strong"],
  [[], ["preemption"]],
);
