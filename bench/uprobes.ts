/**
 * The kernel's uprobes and uretprobes through tracefs, into ftrace's ring: what a machine has
 * without any tool. Source: Documentation/trace/uprobetracer.rst.
 */
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { openProgramFile } from "../src/session/program-file.ts";

const tracefs = "/sys/kernel/tracing";
const group = "patchbay_bench";

/** Why uprobes can't be measured here; undefined where they can. */
export const whyNoUprobes = (): string | undefined =>
  existsSync(`${tracefs}/uprobe_events`)
    ? undefined
    : `NO UPROBES: mount -t tracefs nodev ${tracefs}, as root`;

/** Probes at the entries and returns of `functions` of a program, until they are disposed of. */
export function defineUprobes(program: string, functions: RegExp): Disposable {
  const sites = openProgramFile(program)
    .sites()
    .sites.filter(({ symbol }) => symbol !== undefined && functions.test(symbol));
  if (sites.length === 0) throw new Error(`${program} has no function ${functions}`);
  const lines = sites.flatMap(({ symbol, fileOffset }) =>
    ["p", "r"].map((kind) => `${kind}:${group}/${symbol}_${kind} ${program}:${fileOffset}`),
  );
  const enable = `${tracefs}/events/${group}/enable`;
  for (const line of lines) appendFileSync(`${tracefs}/uprobe_events`, `${line}\n`);
  writeFileSync(enable, "1");
  return {
    [Symbol.dispose]: () => {
      writeFileSync(enable, "0");
      for (const line of lines) {
        const name = line.slice(2, line.indexOf(" "));
        appendFileSync(`${tracefs}/uprobe_events`, `-:${name}\n`);
      }
    },
  };
}
