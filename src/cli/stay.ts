/** What a verb that has attached owes to those who have joined: it stays until they are gone. */
import type { Session } from "../index.ts";

/** They end a verb's work, not the process: the target has to be put in order first. */
export const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `work` with a signal that is aborted when somebody ends this process. */
export async function untilTold<T>(work: (stop: AbortController) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of endSignals) process.on(signal, onSignal);
  try {
    return await work(stop);
  } finally {
    for (const signal of endSignals) process.off(signal, onSignal);
  }
}

/** Stays while other processes trace by this one; Ctrl-C ends it for them, too. */
export async function stayForGuests(session: Session): Promise<void> {
  const { guests, pid } = session;
  if (guests === 0) return;
  const who = guests === 1 ? "1 other patchbay process" : `${guests} other patchbay processes`;
  await untilTold((stop) => {
    process.stderr.write(
      `patchbay: staying for ${who} tracing process ${pid} by this one; Ctrl-C ends it for all\n`,
    );
    return session.guestsGone(stop.signal);
  });
}
