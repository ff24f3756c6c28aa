/**
 * The step language: what a protocol that changes running code may do, as data.
 *
 * A protocol is a list of steps for one site. Before it is carried out it is bound to the sites of
 * a batch: the contents of writes become bytes, and step k is carried out for all sites before
 * step k+1 is for any, so that a hundred thousand sites share the syncs of one. Two interpreters
 * run the bound list: the live engine on a process, the checker on its machines.
 */
import { assert, unreachable } from "../base/assert.ts";
import { type CodeAddr, codeAddr, hex, hexBytes } from "../base/brand.ts";

/** What a write or a cache operation covers. */
export type Span =
  /** Bytes of the window; `rest`: up to its end. */
  | { readonly in: "window"; readonly from: number; readonly size: number | "rest" }
  /** The word of data beside the window. */
  | { readonly in: "literal" }
  /** A word of data that all sites share. */
  | { readonly in: "word"; readonly name: string };

/** What a write leaves there, resolved for each site against the change it undergoes. */
export type Content =
  /** The bytes of the state that the site goes to, or comes from. */
  | { readonly of: "new" | "old" }
  /** The shortest jump from the span's first byte to the window's end that fills the span. */
  | { readonly of: "skip" }
  /** An instruction that traps and fills the span. */
  | { readonly of: "trap" }
  | { readonly of: "bytes"; readonly bytes: readonly number[] }
  /** An address by the name that the site's design gives it; only for words of data. */
  | { readonly of: "address"; readonly name: string };

/** How a sync reaches the other harts. */
export type SyncBy =
  /** An interrupt that the kernel takes on each hart and returns from. */
  | "interrupt"
  /** Firmware below the kernel (SBI's remote FENCE.I): no kernel code runs on that hart. */
  | "firmware"
  /**
   * membarrier(PRIVATE_EXPEDITED_SYNC_CORE): the same as an interrupt, asked for from user space.
   */
  | "membarrier";

/** One step of a protocol. */
export type Step =
  /**
   * Stores to the span. `single`: one single-copy atomic store; the binding refuses a span that
   * no such store covers. `pieces`: as memcpy does, in any number of stores and in any order.
   */
  | {
      readonly op: "write";
      readonly span: Span;
      readonly content: Content;
      readonly store: "single" | "pieces";
    }
  /**
   * Orders the writer's own accesses. `stores`: earlier stores before later ones (DMB ISHST, FENCE
   * w,w, nothing on x86). `all`: waits until everything before it is done (DSB ISH, FENCE, MFENCE).
   */
  | { readonly op: "barrier"; readonly of: "stores" | "all" }
  /** Pushes the span's line to the point of unification (DC CVAU). */
  | { readonly op: "clean"; readonly span: Span }
  /** Drops the span's line from every instruction cache (IC IVAU). */
  | { readonly op: "invalidate"; readonly span: Span }
  /**
   * The writer's own hart forgets what it fetched ahead (ISB, FENCE.I, a serialising instruction).
   */
  | { readonly op: "localSync" }
  /**
   * Every hart, the writer's too, executes a context-synchronising event (ISB, FENCE.I, a
   * serialising instruction). Without `wait` it is asked for and not waited for.
   */
  | { readonly op: "sync"; readonly by: SyncBy; readonly wait: boolean }
  /**
   * Waits until each thread has been seen with its pc not inside the window (its start is outside).
   */
  | { readonly op: "drain" }
  /**
   * A grace period. `tasks`: every thread, also one that is preempted, has since been seen outside
   * of site, trampolines and handlers (synchronize_rcu_tasks). `harts`: every hart has since
   * switched threads (synchronize_rcu_tasks_rude).
   */
  | { readonly op: "quiesce"; readonly of: "tasks" | "harts" }
  /**
   * All harts are held where the kernel can hold them while the inner steps run, and sync at the
   * end.
   */
  | { readonly op: "stop"; readonly steps: readonly InnerStep[] }
  /**
   * From here on, a trap at the site means this: `new`, `old`: the window's instructions of that
   * state are emulated, from the window's start; `skip`: execution goes on at its end; `retry`:
   * back to the trapping instruction. `masked`: the handler runs with interrupts off (a kernel's;
   * a signal handler does not).
   */
  | {
      readonly op: "trap";
      readonly meanwhile: "new" | "old" | "skip" | "retry";
      readonly masked: boolean;
    }
  /**
   * Traps at the site mean nothing any more; with `wait`, once no handler is between entry and end.
   */
  | { readonly op: "untrap"; readonly wait: boolean };

/** What may stand inside of `stop`: nothing that waits for harts that are held. */
export type InnerStep = Extract<
  Step,
  { op: "write" | "barrier" | "clean" | "invalidate" | "localSync" }
>;

/** Bytes `from`, up to `from + size`, of the window. */
export const window = (from: number, size: number | "rest"): Span => ({ in: "window", from, size });
export const literal: Span = { in: "literal" };
export const word = (name: string): Span => ({ in: "word", name });

export const toNew: Content = { of: "new" };
export const toOld: Content = { of: "old" };
export const toSkip: Content = { of: "skip" };
export const toTrap: Content = { of: "trap" };
export const toBytes = (...bytes: readonly number[]): Content => ({ of: "bytes", bytes });
export const toAddress = (name: string): Content => ({ of: "address", name });

/** One single-copy atomic store. */
export const write = (span: Span, content: Content): InnerStep => ({
  op: "write",
  span,
  content,
  store: "single",
});
/** Stores of any size, in any order. */
export const writePieces = (span: Span, content: Content): InnerStep => ({
  op: "write",
  span,
  content,
  store: "pieces",
});
export const storeBarrier: InnerStep = { op: "barrier", of: "stores" };
export const fullBarrier: InnerStep = { op: "barrier", of: "all" };
export const clean = (span: Span): InnerStep => ({ op: "clean", span });
export const invalidate = (span: Span): InnerStep => ({ op: "invalidate", span });
export const localSync: InnerStep = { op: "localSync" };
export const sync: Step = { op: "sync", by: "interrupt", wait: true };
export const firmwareSync: Step = { op: "sync", by: "firmware", wait: true };
export const membarrierSync: Step = { op: "sync", by: "membarrier", wait: true };
export const asyncSync: Step = { op: "sync", by: "interrupt", wait: false };
export const drain: Step = { op: "drain" };
export const quiesceTasks: Step = { op: "quiesce", of: "tasks" };
export const quiesceHarts: Step = { op: "quiesce", of: "harts" };
export const stop = (...steps: readonly InnerStep[]): Step => ({ op: "stop", steps });
export const trap = (meanwhile: "new" | "old" | "skip" | "retry", masked = true): Step => ({
  op: "trap",
  meanwhile,
  masked,
});
export const untrap: Step = { op: "untrap", wait: true };
export const untrapAtOnce: Step = { op: "untrap", wait: false };

/**
 * DC CVAU, DSB, IC IVAU, DSB, ISB: what an Arm writer does after a store to code (Arm ARM B2.4.4).
 */
export const maintain = (span: Span): readonly InnerStep[] => [
  clean(span),
  fullBarrier,
  invalidate(span),
  fullBarrier,
  localSync,
];

/** One site's change, as a write's contents are resolved against it. Buffers are borrowed. */
export type SiteChange = {
  /** The window's first byte. */
  readonly at: CodeAddr;
  /** The window's bytes before and after. */
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  /** The literal, where the site has one and the protocol writes it. */
  readonly literal?: { readonly at: CodeAddr; readonly from: Uint8Array; readonly to: Uint8Array };
  /** Values that words shared by all sites go to, little-endian. */
  readonly words?: ReadonlyMap<string, { readonly at: CodeAddr; readonly to: Uint8Array }>;
  /** Addresses that `toAddress` names, little-endian, as wide as a word. */
  readonly addresses?: ReadonlyMap<string, Uint8Array>;
};

/**
 * How an ISA fills a span with a jump to the window's end, or with a trap; `undefined`: it can't.
 */
export interface Fillers {
  /** Jump over `distance` bytes from its own first byte, `size` bytes long; a fresh array. */
  skip(distance: number, size: number): Uint8Array | undefined;
  trap(size: number): Uint8Array | undefined;
}

/** One store, ready to be carried out: `bytes` to `at`, owned by whoever bound it. */
export type BoundWrite = { readonly at: CodeAddr; readonly bytes: Uint8Array };

/** A step bound to all sites of a batch. */
export type BatchStep =
  | {
      readonly op: "write";
      readonly store: "single" | "pieces";
      readonly writes: readonly BoundWrite[];
    }
  | {
      readonly op: "clean" | "invalidate";
      readonly lines: readonly { readonly at: CodeAddr; readonly size: number }[];
    }
  | Exclude<Step, { op: "write" | "clean" | "invalidate" | "stop" }>
  | { readonly op: "stop"; readonly steps: readonly BatchStep[] };

/** Where a span lies for one site. */
function locate(span: Span, change: SiteChange): { at: CodeAddr; size: number } {
  switch (span.in) {
    case "window": {
      const size = span.size === "rest" ? change.from.length - span.from : span.size;
      assert(size > 0 && span.from + size <= change.from.length, "a span outside of the window");
      return { at: codeAddr(change.at + BigInt(span.from)), size };
    }
    case "literal":
      assert(change.literal !== undefined, "the site has no literal");
      return { at: change.literal.at, size: change.literal.to.length };
    case "word": {
      const found = change.words?.get(span.name);
      assert(found !== undefined, `there is no word ${span.name}`);
      return { at: found.at, size: found.to.length };
    }
    default:
      return unreachable(span);
  }
}

/** The bytes of state `new` or `old` in a span. */
function stateBytes(span: Span, side: "from" | "to", change: SiteChange): Uint8Array {
  const { size } = locate(span, change);
  if (span.in === "window") return change[side].slice(span.from, span.from + size);
  if (span.in === "literal") {
    assert(change.literal !== undefined, "the site has no literal");
    return change.literal[side].slice();
  }
  const found = change.words?.get(span.name);
  assert(found !== undefined && side === "to", `word ${span.name} has no old value`);
  return found.to.slice();
}

/** The bytes that a write leaves in its span. */
function resolve(span: Span, content: Content, change: SiteChange, fillers: Fillers): Uint8Array {
  const { size } = locate(span, change);
  let bytes: Uint8Array | undefined;
  switch (content.of) {
    case "new":
      return stateBytes(span, "to", change);
    case "old":
      return stateBytes(span, "from", change);
    case "skip":
      assert(span.in === "window", "only code can jump");
      bytes = fillers.skip(change.from.length - span.from, size);
      break;
    case "trap":
      bytes = fillers.trap(size);
      break;
    case "bytes":
      bytes = Uint8Array.from(content.bytes);
      break;
    case "address":
      bytes = change.addresses?.get(content.name)?.slice();
      break;
    default:
      return unreachable(content);
  }
  assert(bytes?.length === size, `no ${content.of} of ${size} bytes`);
  return bytes;
}

/**
 * Binds a protocol's steps to the sites of one batch: every step of the result is carried out for
 * all sites before the next one starts. Stores to words that sites share are made once.
 */
export function bindSteps(
  steps: readonly Step[],
  changes: readonly SiteChange[],
  fillers: Fillers,
): readonly BatchStep[] {
  return steps.map((step) => bindStep(step, changes, fillers));
}

function bindStep(step: Step, changes: readonly SiteChange[], fillers: Fillers): BatchStep {
  switch (step.op) {
    case "write": {
      const touched = step.span.in === "word" ? changes.slice(0, 1) : changes;
      const writes = touched.map((change) => ({
        at: locate(step.span, change).at,
        bytes: resolve(step.span, step.content, change, fillers),
      }));
      return { op: "write", store: step.store, writes };
    }
    case "clean":
    case "invalidate":
      return { op: step.op, lines: changes.map((change) => locate(step.span, change)) };
    case "stop":
      return { op: "stop", steps: bindSteps(step.steps, changes, fillers) };
    default:
      return step;
  }
}

const describeSpan = (span: Span): string => {
  if (span.in === "literal") return "literal";
  if (span.in === "word") return span.name;
  const end = span.size === "rest" ? "end" : span.from + span.size;
  return `window[${span.from}, ${end})`;
};

const describeContent = (content: Content): string => {
  if (content.of === "bytes") return hexBytes(Uint8Array.from(content.bytes));
  return content.of === "address" ? content.name : content.of;
};

/** A step in one line, as tables and protocol pages print it. */
export function describeStep(step: Step): string {
  switch (step.op) {
    case "write": {
      const how = step.store === "pieces" ? ", any stores" : "";
      return `write ${describeSpan(step.span)} = ${describeContent(step.content)}${how}`;
    }
    case "barrier":
      return step.of === "stores" ? "store barrier" : "full barrier";
    case "clean":
    case "invalidate":
      return `${step.op} ${describeSpan(step.span)}`;
    case "localSync":
      return "local sync";
    case "sync":
      return `${step.wait ? "" : "asynchronous "}sync by ${step.by}`;
    case "drain":
      return "drain";
    case "quiesce":
      return `grace period (${step.of})`;
    case "stop":
      return `stop { ${step.steps.map(describeStep).join("; ")} }`;
    case "trap":
      return `traps mean ${step.meanwhile}${step.masked ? "" : ", handler can be interrupted"}`;
    case "untrap":
      return step.wait ? "traps end, handlers waited for" : "traps end at once";
    default:
      return unreachable(step);
  }
}

/** A bound step in one line: its bytes, and the addresses they go to. */
export function describeBatchStep(step: BatchStep): string {
  switch (step.op) {
    case "write":
      return step.writes
        .map(({ at, bytes }) => `writes ${hexBytes(bytes)} at ${hex(at)}`)
        .join(", ");
    case "clean":
    case "invalidate":
      return `${step.op}s ${step.lines.map(({ at }) => hex(at)).join(", ")}`;
    case "stop":
      return `stop { ${step.steps.map(describeBatchStep).join("; ")} }`;
    default:
      return describeStep(step);
  }
}
