/** What uftrace says of a data directory. */
import { execFileSync } from "node:child_process";

/** A call as `uftrace replay` draws it. */
export type UftraceCall = {
  readonly tid: number;
  /** Calls around it. */
  readonly depth: number;
  readonly name: string;
  readonly ns: number;
};

const uftrace = (...args: readonly string[]): string =>
  execFileSync("uftrace", args, { encoding: "utf8", maxBuffer: 1 << 30 });

const unitNs: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9 };
/** Nothing stands for less than a nanosecond. */
const durationNs = (number: string, unit: string): number =>
  number === "" ? 0 : Math.round(Number(number) * (unitNs[unit] ?? Number.NaN));

/** All calls, by their beginnings; those that begin at once are in the order of their thread. */
export function uftraceCalls(path: string): readonly UftraceCall[] {
  const calls: { tid: number; depth: number; name: string; ns: number }[] = [];
  const open = new Map<number, (typeof calls)[number][]>();
  for (const line of uftrace("replay", "-d", path).split("\n")) {
    const row = /^ *(?:([\d.]+) +(\w+))? *\[ *(\d+)\] \| ( *)(.*)$/.exec(line);
    if (row === null) continue;
    const [, number = "", unit = "", tidText, indent = "", text = ""] = row;
    const tid = Number(tidText);
    const stack = open.get(tid) ?? [];
    open.set(tid, stack);
    const begun = /^(.*)\(\)(;| \{)$/.exec(text);
    if (begun !== null) {
      const call = { tid, depth: indent.length / 2, name: begun[1] ?? "", ns: Number.NaN };
      calls.push(call);
      if (begun[2] === ";") call.ns = durationNs(number, unit);
      else stack.push(call);
    } else if (text.startsWith("}")) {
      const call = stack.pop();
      if (call === undefined || text !== `} /* ${call.name} */`) throw new Error(`odd: ${line}`);
      call.ns = durationNs(number, unit);
    }
  }
  return calls;
}

/** Calls and time of each function, by name, as `uftrace report` has them. */
export function uftraceCounts(
  path: string,
  ...options: readonly string[]
): ReadonlyMap<string, { readonly calls: number; readonly totalNs: number }> {
  const rows = uftrace("report", "-d", path, ...options).matchAll(
    /^ *([\d.]+) +(\w+) +[\d.]+ +\w+ +(\d+) {2}(.*)$/gm,
  );
  return new Map(
    [...rows].map(([, number = "", unit = "", calls, name = ""]) => [
      name,
      { calls: Number(calls), totalNs: durationNs(number, unit) },
    ]),
  );
}
