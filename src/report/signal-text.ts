/** Signals as people read them. */
import type { SignalFacts } from "../trace/values.ts";

/** From number 1 on (Linux, include/uapi/asm-generic/signal.h); those behind have no names. */
const names = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP " +
  "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");

/** `SIGUSR1`, `signal 35`, or `a signal` where it is not known which one. */
export function signalName({ number }: SignalFacts): string {
  if (number === undefined) return "a signal";
  const name = names[number - 1];
  return name === undefined ? `signal ${number}` : `SIG${name}`;
}

/** The same, and who sent it, where that is known. */
export const formatSignal = (signal: SignalFacts): string =>
  signal.sender === undefined
    ? signalName(signal)
    : `${signalName(signal)} from process ${signal.sender}`;
