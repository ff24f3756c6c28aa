/** `patchbay direct`: calls functions of a shared library at the entries of a process' own. */
import type { Command } from "commander";
import { attach, PatchbayError, plural, type Session } from "../../index.ts";
import { stayForGuests, untilTold } from "../stay.ts";
import { wantPid } from "../transition.ts";
import { parseDuration, parsePid } from "../units.ts";

type Options = {
  readonly pid?: string;
  readonly duration?: number;
  readonly prologues: boolean;
};

/** A function of the process and the one that is called at its entry. */
type Pair = { readonly at: string; readonly calls: string };

export function registerDirect(program: Command): void {
  program
    .command("direct")
    .description("call functions of a shared library at the entries of a process' functions")
    .argument("<library>", "the shared library: it is loaded into the process")
    .argument("<at=calls...>", "function of the process, and the library's that it calls")
    .option("-p, --pid <pid>", "the process")
    .option("--duration <time>", "stop by itself after 500ms, 2s, 1m", parseDuration)
    .option("--prologues", "functions that were compiled without sites, too", false)
    .action(run);
}

function parsePair(text: string): Pair {
  const [at, calls, ...more] = text.split("=");
  if (at !== undefined && calls !== undefined && more.length === 0 && at !== "" && calls !== "") {
    return { at, calls };
  }
  throw new PatchbayError({
    code: "bad-usage",
    doing: "call functions directly",
    why: `${text} is not FUNCTION=HANDLER`,
    hint: "patchbay direct -p PID probe.so http_parse=on_parse",
  });
}

async function run(library: string, texts: readonly string[], options: Options): Promise<void> {
  const pid = wantPid("call functions directly", parsePid(options.pid));
  const pairs = texts.map(parsePair);
  const { duration, prologues } = options;
  await using session = await attach(pid);
  await untilTold(async (stop) => {
    const timer = duration === undefined ? undefined : setTimeout(() => stop.abort(), duration);
    try {
      await watch(session, library, pairs, prologues, stop.signal);
    } finally {
      clearTimeout(timer);
    }
  });
  await stayForGuests(session);
}

/** Calls the library's functions until it is to stop, and tells how often. */
async function watch(
  session: Session,
  library: string,
  pairs: readonly Pair[],
  prologues: boolean,
  signal: AbortSignal,
): Promise<void> {
  const include = pairs.map(({ at }) => at);
  const observation = await session.observe({ filter: { include }, prologues, times: false });
  const loaded = await session.loadLibrary(library);
  for (const { at, calls } of pairs) {
    const target = loaded.address(calls);
    await observation.register(calls, { kind: "direct", target }, { include: [at] });
  }
  const what = pairs.map(({ at, calls }) => `${at} calls ${calls}`).join(", ");
  process.stderr.write(`patchbay: ${what}; Ctrl-C ends\n`);
  const stopped = new Promise((resolve) => {
    signal.addEventListener("abort", resolve, { once: true });
    if (signal.aborted) resolve(undefined);
  });
  await Promise.race([stopped, observation.ended]);
  const { statistics, reason, left } = await observation.stop();
  const calls = statistics.reduce((sum, one) => sum + one.calls, 0);
  process.stderr.write(`patchbay: ${plural(calls, "call")}; ${reason}\n`);
  if (left !== undefined) process.stderr.write(`patchbay: some memory stays mapped: ${left}\n`);
}
