/** The thread that keeps a coarse clock fresh until it is told to end: see `coarse-clock.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { MappedFile } from "../os/mapped-file.ts";
import { sleepExactly } from "../os/timer-slack.ts";
import { pageBytes } from "../ring/arena.ts";
import { type CoarseClockData, coarseWord, coarseWords, setTime } from "./coarse-clock.ts";

const { arenaFd, sleepNs, stop }: CoarseClockData = workerData;
const stopWord = new Int32Array(stop);
using mapped = new MappedFile(arenaFd, 0, pageBytes);
const words = coarseWords(mapped);
let last = words[coarseWord.ns] ?? 0n;
let longest = 0n;
sleepExactly();
for (let steps = 1n; Atomics.load(stopWord, 0) === 0; steps++) {
  // No foreign call in here: koffi does not survive it when the whole process exits meanwhile.
  const now = process.hrtime.bigint();
  setTime(words, now);
  if (now - last > longest) longest = now - last;
  last = now;
  words[coarseWord.steps] = steps;
  words[coarseWord.longest] = longest;
  if (steps === 1n) parentPort?.postMessage("runs");
  Atomics.wait(stopWord, 0, 0, sleepNs / 1e6);
}
