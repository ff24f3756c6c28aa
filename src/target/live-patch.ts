/**
 * One fix in a process: a library whose functions run instead of the program's, and the switch
 * between the two versions. It stays when this tracer goes; nothing of ours runs for it.
 *
 * All threads are held for a moment twice: when the functions' entries are made to jump to the
 * switch, which goes on to the old versions then, and when the switch is turned. Those that are
 * inside of the version that is left keep to it, and are looked at one by one until they are out
 * of it. The protocol and what it promises: `patch/protocols/consistency.ts`.
 */

import { ensure } from "../base/assert.ts";
import { codeAddr, hex, type Tid, pid as toPid } from "../base/brand.ts";
import { PatchbayError } from "../base/error.ts";
import {
  stubsOffset,
  switchRequest,
  switchThreadsMax,
  versionSwitch,
} from "../codegen/x86-64/version-switch.ts";
import { type Mapping, readStat, threadName } from "../os/proc.ts";
import { nap } from "../os/ptrace.ts";
import {
  type SwitchStep,
  turning,
  turningAtOnce,
  type Version,
} from "../patch/protocols/consistency.ts";
import {
  bytesOf,
  describeFix,
  type FixPlan,
  jumpBytes,
  parse,
  recordBytesMax,
  toRange,
} from "./fix-description.ts";
import { rewriteFunctions } from "./fix-text.ts";
import { leaveCode } from "./leave-code.ts";
import { type LibraryParts, type Loader, loadLibrary, unloadLibrary } from "./library.ts";
import { type FoundPatch, type PatchRecord, readHolding } from "./patch-record.ts";
import { findPointerInto } from "./pointer-scan.ts";
import type { HeldThreads, RegisterFile, TargetMemory, TargetProcess } from "./process.ts";
import { type HeldUp, StackWalker, type WalkModule } from "./stack-walk.ts";
import { writeReport } from "./switch-report.ts";
import type { TextRange } from "./unwinder-registration.ts";
import {
  copyAt,
  type FixRegion,
  fillRegion,
  mapRegion,
  onOneThread,
  unmapRegion,
  writeRecord,
} from "./version-region.ts";

export type LivePatchParts = {
  readonly process: TargetProcess;
  readonly loader: Loader;
  /** What is mapped, for walking stacks; asked anew when libraries have come. */
  readonly modules: () => readonly WalkModule[];
};

const stackShown = 12;
/** Bytes of the loader's own record of a library, with room to spare. */
const linkMapBytes = 1280n;

export class LivePatch {
  readonly record: PatchRecord;
  readonly #parts: LivePatchParts;
  readonly #memory: TargetMemory;
  readonly #region: Pick<FixRegion, "base" | "bytes">;
  readonly #recordBytes: number;
  #walkModules: readonly WalkModule[] | undefined;
  /** Where the threads' stacks are, as they were when text was last changed. */
  #stacks: readonly TextRange[] = [];

  private constructor(
    parts: LivePatchParts,
    region: Pick<FixRegion, "base" | "bytes">,
    record: PatchRecord,
    recordBytes: number,
  ) {
    this.#parts = parts;
    this.#memory = parts.process.memory;
    this.#region = region;
    this.record = record;
    this.#recordBytes = recordBytes;
  }

  /** Takes over a fix that is in the process. */
  static open(parts: LivePatchParts, found: FoundPatch): LivePatch {
    const region = { base: found.base, bytes: found.bytes };
    return new LivePatch(parts, region, found.record, found.recordBytes);
  }

  /** Loads the fix and makes its switch; no function is changed yet. */
  static load(parts: LivePatchParts, plan: FixPlan): LivePatch {
    const { process } = parts;
    const { memory } = process;
    const recordBytes = recordBytesMax(plan);
    const region = onOneThread(process, (remote) =>
      mapRegion(process, remote, plan.functions, recordBytes),
    );
    let unload = (): void => undefined;
    try {
      const library = libraryParts(parts, region);
      const { handle, bias } = loadLibrary(library, plan.file);
      unload = () => unloadLibrary(library, handle);
      memory.write(region.base, new Uint8Array(stubsOffset(plan.functions.length, recordBytes)));
      for (const { at, value } of plan.references) {
        memory.write(bias + at, new Uint8Array(new BigUint64Array([value]).buffer));
      }
      const versions = plan.functions.map(({ newAddr }) => codeAddr(bias + newAddr));
      const { stubs } = fillRegion(memory, region, plan.functions, versions, recordBytes);
      const record = describeFix(plan, handle, bias, stubs);
      writeRecord(memory, region, record, recordBytes);
      return new LivePatch(parts, region, record, recordBytes);
    } catch (error) {
      unload();
      unmapRegion(process, region);
      throw error;
    }
  }

  get #base(): bigint {
    return this.#region.base;
  }

  /** Which version threads run that do not hold. */
  get mode(): Version {
    return this.#memory.read(this.#base + BigInt(versionSwitch.mode), 1)[0] === 0 ? "old" : "new";
  }

  #isOurCode(address: bigint): boolean {
    const code = BigInt(stubsOffset(this.record.functions.length, this.#recordBytes));
    return address >= this.#base + code && address < this.#base + BigInt(this.#region.bytes);
  }

  /** Says that this process carries out a change, so that others leave it alone. */
  own(): void {
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, process.pid, true);
    view.setBigUint64(8, BigInt(readStat(toPid(process.pid)).startTime), true);
    this.#put(versionSwitch.request, switchRequest.none);
    this.#memory.write(this.#base + BigInt(versionSwitch.owner), new Uint8Array(view.buffer));
  }

  disown(): void {
    this.#memory.write(this.#base + BigInt(versionSwitch.owner), new Uint8Array(4));
  }

  /** What somebody else wants of the change. */
  get request(): number {
    return this.#memory.read(this.#base + BigInt(versionSwitch.request), 1)[0] ?? 0;
  }

  /** Asks whoever carries out the change for something. */
  ask(request: number): void {
    this.#put(versionSwitch.request, request);
  }

  /** Makes the functions' entries lead to the switch; their old versions run on. */
  arm(): void {
    const { functions } = this.record;
    const jumps = functions.map(({ at, original, stub }) =>
      jumpBytes(parse(at), parse(stub), original.length / 2),
    );
    this.#rewrite((one) => bytesOf(one.original), jumps);
  }

  /** Brings all windows from what they should hold to `next`, while all threads are held. */
  #rewrite(
    expected: (one: PatchRecord["functions"][number]) => Uint8Array,
    next: readonly Uint8Array[],
  ): void {
    this.#stacks = rewriteFunctions(
      {
        process: this.#parts.process,
        functions: this.record.functions,
        copyAt: (index) =>
          copyAt(this.#region, this.record.functions.length, this.#recordBytes, index),
        isOurCode: (address) => this.#isOurCode(address),
        walker: (maps) => this.#walker(maps),
      },
      expected,
      next,
    );
  }

  /**
   * Turns the switch. Threads that are inside of the version that is left keep to it.
   * @param immediate nobody keeps to anything: versions may mix on one thread's stack.
   */
  turn(mode: Version, immediate: boolean): readonly HeldUp[] {
    const steps = immediate ? turningAtOnce(mode) : turning(mode);
    for (let attempt = 0; ; attempt++) {
      const found = this.#tryTurn(steps, attempt);
      if (found !== undefined) {
        writeReport(this.#memory, this.#base, found);
        return found;
      }
      nap(1);
    }
  }

  /** Carries out the steps; undefined, with nothing done, where a thread has to leave a stub. */
  #tryTurn(steps: readonly SwitchStep[], attempt: number): readonly HeldUp[] | undefined {
    const { process } = this.#parts;
    let threads: HeldThreads | undefined;
    let found: readonly HeldUp[] = [];
    try {
      for (const step of steps) {
        if (step.kind === "holdAll") threads = process.holdAll();
        const held = ensure(threads, "all threads are held while the switch is turned");
        if (step.kind === "leaveStubs") {
          const { pc } = process.backEnd.registers;
          const isInside = (address: bigint): boolean => this.#isOurCode(address);
          if (!leaveCode(held, pc, isInside, attempt)) return undefined;
        }
        if (step.kind === "listInside") found = this.#findInside(held, step.version);
        if (step.kind === "turn") this.#write(step.to, found);
        if (step.kind === "letGo") held.letGo();
      }
      return found;
    } finally {
      threads?.letGo();
    }
  }

  /** The threads that are inside of `version`. */
  #findInside(threads: HeldThreads, version: Version): readonly HeldUp[] {
    const walker = this.#walker(this.#parts.process.maps());
    const found = threads.tids.flatMap(
      (tid) => this.#look(walker, tid, threads.readRegisters(tid), version) ?? [],
    );
    if (found.length <= switchThreadsMax) return found;
    throw new PatchbayError({
      code: "unsupported",
      doing: `switch process ${threads.pid} to other versions`,
      why: `${found.length} threads are inside of functions that change`,
      hint: "--immediate does not wait for them",
    });
  }

  /** Sets the version, and who keeps to the other one. */
  #write(mode: Version, found: readonly HeldUp[]): void {
    const { list, listEntryBytes, holds } = versionSwitch;
    const view = new DataView(new ArrayBuffer((found.length + 1) * listEntryBytes));
    found.forEach(({ tid }, index) => {
      view.setUint32(index * listEntryBytes, tid, true);
      view.setUint8(index * listEntryBytes + holds, 1);
    });
    this.#memory.write(this.#base + BigInt(list), new Uint8Array(view.buffer));
    // One write: a tracer that dies leaves the old state or the new one, not half of each.
    const bytes = Uint8Array.of(mode === "new" ? 1 : 0, found.length > 0 ? 1 : 0);
    this.#memory.write(this.#base + BigInt(versionSwitch.mode), bytes);
  }

  /** Looks at the threads that hold, and lets those go over that are out; who still holds. */
  look(): readonly HeldUp[] {
    const { process } = this.#parts;
    const { list, listEntryBytes, holds } = versionSwitch;
    const version = this.mode === "new" ? "old" : "new";
    const left: HeldUp[] = [];
    const holding = readHolding(this.#memory, this.#base);
    for (const { tid, index } of holding) {
      using threads = process.hold(tid);
      const at = this.#base + BigInt(list + index * listEntryBytes + holds);
      if (threads !== undefined) {
        const walker = this.#walker(process.maps());
        const found = this.#look(walker, tid, threads.readRegisters(tid), version);
        if (found !== undefined) {
          left.push(found);
          continue;
        }
      }
      // One byte, while its thread is held: the others see it before or after.
      this.#memory.write(at, Uint8Array.of(0));
    }
    if (left.length === 0) this.#put(versionSwitch.switching, 0);
    writeReport(this.#memory, this.#base, left);
    return left;
  }

  /** Nobody keeps to the version that is left any more, wherever they are. */
  force(): void {
    this.#put(versionSwitch.switching, 0);
  }

  #put(offset: number, value: number): void {
    this.#memory.write(this.#base + BigInt(offset), Uint8Array.of(value));
  }

  #walker(maps: readonly Mapping[]): StackWalker {
    this.#walkModules ??= this.#parts.modules();
    return new StackWalker(this.#memory, this.#walkModules, maps);
  }

  /** Whether a held thread is inside of `version`. */
  #look(
    walker: StackWalker,
    tid: Tid,
    registers: RegisterFile,
    version: Version,
  ): HeldUp | undefined {
    const { functions, text } = this.record;
    const [textStart, textEnd] = text.map(parse);
    const inside = (pc: bigint): string | undefined => {
      if (this.#isOurCode(pc)) return "the switch itself";
      if (version === "new") {
        return pc >= (textStart ?? 0n) && pc < (textEnd ?? 0n) ? walker.describe(pc) : undefined;
      }
      return functions.find(({ oldCode }) =>
        oldCode.some(([start, size]) => pc >= parse(start) && pc < parse(start) + BigInt(size)),
      )?.name;
    };
    const { frames, guesses } = walker.walk(registers);
    const sure = frames.map(inside).find((name) => name !== undefined);
    const guess = guesses?.map(inside).find((name) => name !== undefined);
    const name = sure ?? guess;
    if (name === undefined) return undefined;
    return {
      tid,
      name: threadName(this.#parts.process.pid, tid) ?? "",
      stack: frames.slice(0, stackShown).map((pc) => walker.describe(pc)),
      inside: name,
      isGuess: sure === undefined,
    };
  }

  /**
   * Takes the fix out: nobody may hold, and the old versions run. The functions' bytes are as they
   * were; what the fix has left in the program's data keeps its library loaded.
   */
  withdraw(): { readonly left?: string } {
    const { functions, handle } = this.record;
    this.#rewrite(
      ({ at, original, stub }) => jumpBytes(parse(at), parse(stub), original.length / 2),
      functions.map(({ original }) => bytesOf(original)),
    );
    const left = this.#unload(parse(handle));
    unmapRegion(this.#parts.process, this.#region);
    return left === undefined ? {} : { left };
  }

  /** Unloads the library, unless something still points into it. */
  #unload(handle: bigint): string | undefined {
    const { process } = this.#parts;
    const { text, data, mapped } = this.record;
    // Stacks were walked, which tells more than what is left over on them.
    const ofLoader = { start: handle, end: handle + linkMapBytes };
    const ignored = [toRange(mapped), ofLoader, ...this.#stacks];
    const pointer = findPointerInto(process, [text, ...data].map(toRange), ignored);
    if (pointer !== undefined) {
      return `the program keeps a pointer into the fix at ${hex(pointer)}: it stays loaded`;
    }
    unloadLibrary(libraryParts(this.#parts, this.#region), handle);
    return undefined;
  }

  /** Takes back a fix that was loaded and not armed, or could not be. */
  discard(): void {
    unloadLibrary(libraryParts(this.#parts, this.#region), parse(this.record.handle));
    unmapRegion(this.#parts.process, this.#region);
  }
}

function libraryParts(
  { process, loader, modules }: LivePatchParts,
  { base, bytes }: Pick<FixRegion, "base" | "bytes">,
): LibraryParts {
  const walked = modules();
  return {
    process,
    loader,
    walker: (maps) => new StackWalker(process.memory, walked, maps),
    scratch: base + BigInt(versionSwitch.list),
    returnTrap: codeAddr(base + BigInt(bytes - 1)),
  };
}
