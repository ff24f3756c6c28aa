/**
 * Running a program that exec has just put there up to where its own code begins, so that it comes
 * to no harm should this tracer be killed meanwhile: nothing in its text is changed.
 *
 * The loader jumps to where the auxiliary vector says that the program begins. It is made to say
 * otherwise: a few instructions at the end of the vdso, where nothing stands, make a system call,
 * which ptrace reports, and jump to the beginning. Without a tracer they just do that.
 */
import { type CodeAddr, type Pid, type Tid, tid as toTid } from "../base/brand.ts";
import { arrivalStub } from "../codegen/x86-64/stubs.ts";
import { type Mapping, ProcessMemory, readMaps } from "../os/proc.ts";
import {
  detach,
  interrupt,
  readRegisters,
  resume,
  resumeToSyscall,
  signal,
  type WaitEvent,
  waitUpTo,
  writeRegisters,
} from "../os/ptrace.ts";
import { VdsoRoom } from "./vdso-room.ts";

/** Longest wait for a program to do anything at all, in ms. */
const patienceMs = 30_000;
/** Longest wait for a program that is to stop, in ms. */
const stopMs = 10_000;

const breakpoint = Uint8Array.of(0xcc);
/** AT_NULL and AT_ENTRY. */
const auxNull = 0n;
const auxEntry = 9n;
/** Words of arguments and of the environment at the most. */
const wordsMax = 1 << 20;

/** What became of a program that was to come up to an address. */
export type Arrival =
  /** It is stopped there. */
  | { readonly kind: "arrived" }
  /** It did not come there for long, and goes on by itself. */
  | { readonly kind: "let-go" }
  | { readonly kind: "ended"; readonly event: WaitEvent };

/** Runs a program whose one thread is where exec has put it up to the address `at`. */
export function arriveAt(pid: Pid, at: CodeAddr): Arrival {
  using memory = new ProcessMemory(pid);
  const tid = toTid(pid);
  const detour = layDetour(memory, pid, at);
  if (detour === undefined) return arriveByTrap(memory, tid, at);
  const { stub, entry } = detour;
  const isThere = ({ kind }: WaitEvent): boolean =>
    kind === "syscall" && stub.holds(readRegisters(tid).get("rip"));
  const arrival = runUntil(tid, resumeToSyscall, isThere);
  if (arrival.kind !== "arrived") return arrival;
  // To the system call's end, where a thread is as it is anywhere.
  const ended = runUntil(tid, resumeToSyscall, ({ kind }) => kind === "syscall");
  if (ended.kind !== "arrived") return ended;
  writeRegisters(tid, readRegisters(tid).set("rip", at).set("orig_rax", -1n));
  memory.write(entry, word(at));
  stub.clear();
  return arrival;
}

/** The way that the loader is led: a stub, and the address of the word that leads there. */
type Detour = { readonly stub: VdsoRoom; readonly entry: bigint };

/** Undefined where no loader jumps to `at`, or there is no place for the stub. */
function layDetour(memory: ProcessMemory, pid: Pid, at: CodeAddr): Detour | undefined {
  const maps = readMaps(pid);
  const entry = entryWord(memory, readRegisters(toTid(pid)).get("rsp"));
  if (entry === undefined || memory.readU64(entry) !== at || !hasLoader(maps)) return undefined;
  const stub = VdsoRoom.lay(memory, maps, arrivalStub(at));
  if (stub === undefined) return undefined;
  memory.write(entry, word(stub.at));
  return { stub, entry };
}

const word = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);

/** The address of what AT_ENTRY says, in the vector that the stack of a new program begins with. */
function entryWord(memory: ProcessMemory, sp: bigint): bigint | undefined {
  let at = sp + 8n * (memory.readU64(sp) + 2n);
  for (let left = wordsMax; left > 0 && memory.readU64(at) !== 0n; left--) at += 8n;
  for (at += 8n; memory.readU64(at) !== auxNull; at += 16n) {
    if (memory.readU64(at) === auxEntry) return at + 8n;
  }
  return undefined;
}

/** Whether the program is one that a loader brings up: then another file is mapped, too. */
function hasLoader(maps: readonly Mapping[]): boolean {
  const code = maps.filter(({ executable, inode }) => executable && inode !== 0);
  return new Set(code.map(({ inode }) => inode)).size > 1;
}

/** The same with a breakpoint, for programs without a loader: these are soon there. */
function arriveByTrap(memory: ProcessMemory, tid: Tid, at: CodeAddr): Arrival {
  const original = memory.read(at, 1);
  memory.write(at, breakpoint);
  const isTrap = (event: WaitEvent): boolean =>
    event.kind === "signal" && event.signal === signal.trap;
  const arrival = runUntil(tid, resume, isTrap, () => memory.write(at, original));
  if (arrival.kind !== "arrived") return arrival;
  memory.write(at, original);
  writeRegisters(tid, readRegisters(tid).set("rip", at));
  return arrival;
}

/**
 * Runs a program by `go` until `isThere`, delivering the signals that come before that.
 * @param undo what has to happen before it may go on by itself.
 */
function runUntil(
  tid: Tid,
  go: (tid: Tid, deliver: number) => void,
  isThere: (event: WaitEvent) => boolean,
  undo: () => void = () => undefined,
): Arrival {
  let deliver = 0;
  for (;;) {
    go(tid, deliver);
    const news = waitUpTo(tid, patienceMs);
    const event = news ?? stopNow(tid);
    if (event?.kind === "exited" || event?.kind === "killed") return { kind: "ended", event };
    if (event !== undefined && isThere(event)) return { kind: "arrived" };
    // The stop that a shell gave itself, seen again: it must not stop the program once more.
    const isSignal = event?.kind === "signal" && event.signal !== signal.stop;
    deliver = isSignal ? event.signal : 0;
    if (news !== undefined && news.kind !== "exec") continue;
    undo();
    detach(tid, deliver);
    return { kind: "let-go" };
  }
}

/** Stops a program that has been waited for in vain. */
function stopNow(tid: Tid): WaitEvent | undefined {
  interrupt(tid);
  return waitUpTo(tid, stopMs);
}
