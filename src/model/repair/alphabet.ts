/**
 * What a repair may put together: the step language, cut to what makes sense on one kind of window.
 * Each macro is what an engineer would call one step: a store with the barrier or maintenance that
 * makes it visible, a sync, a wait.
 */
import { unreachable } from "../../base/assert.ts";
import type { Design } from "../../patch/design.ts";
import {
  type Content,
  clean,
  drain,
  fullBarrier,
  type InnerStep,
  invalidate,
  literal,
  localSync,
  quiesceTasks,
  type Span,
  type Step,
  stop,
  storeBarrier,
  sync,
  toNew,
  toSkip,
  toTrap,
  trap,
  untrap,
  window,
  write,
  writePieces,
} from "../../patch/steps.ts";

export type Macro = {
  readonly steps: readonly Step[];
  readonly cost: number;
  /** The window may only be left in the trap's hands while this is armed. */
  readonly kind: "write" | "sync" | "wait" | "trap" | "untrap" | "stop";
};

/** Costs: waits over handlers over syncs over writes; a stop is the last resort. */
const costs = { write: 10, untrap: 5, sync: 100, trap: 150, wait: 250, stop: 2000 } as const;

const macro = (kind: Macro["kind"], ...steps: readonly Step[]): Macro => ({
  kind,
  steps,
  cost: costs[kind],
});

/** A store with what makes it visible to others on this ISA. */
function publish(isa: Design["isa"], span: Span, store: InnerStep): readonly InnerStep[] {
  switch (isa) {
    case "x86-64":
      return [store];
    case "riscv32":
    case "riscv64":
      return [store, storeBarrier];
    case "aarch64":
      if (span.in !== "window") return [store, storeBarrier];
      return [store, clean(span), fullBarrier, invalidate(span), fullBarrier, localSync];
    default:
      return unreachable(isa);
  }
}

/** Parts of a window that a store may cover, with what it may put there; narrow ones first. */
function parts(design: Design): { span: Span; content: Content }[] {
  const part = (
    from: number,
    size: number | "rest",
    content: Content,
  ): { span: Span; content: Content } => ({ span: window(from, size), content });
  if (design.isa === "x86-64") {
    return [
      part(0, 1, toTrap),
      part(0, 1, toNew),
      part(0, 2, toSkip),
      part(0, 2, toNew),
      part(1, "rest", toNew),
      part(2, "rest", toNew),
      part(0, "rest", toNew),
    ];
  }
  const slots = Array.from({ length: design.windowSize / 4 }, (_, i) => 4 * i);
  return slots.flatMap((from) => [
    ...(from + 4 < design.windowSize ? [part(from, 4, toSkip)] : []),
    part(from, 4, toTrap),
    part(from, 4, toNew),
  ]);
}

/** Everything that a repair of this design is made of. */
export function alphabetOf(design: Design): readonly Macro[] {
  const writes = parts(design).map(({ span, content }) =>
    macro("write", ...publish(design.isa, span, write(span, content))),
  );
  const literals =
    design.literal === undefined
      ? []
      : [macro("write", ...publish(design.isa, literal, write(literal, toNew)))];
  const whole = window(0, "rest");
  const stopped = stop(...publish(design.isa, whole, writePieces(whole, toNew)));
  return [
    ...literals,
    ...writes,
    macro("trap", trap("new")),
    macro("untrap", untrap),
    macro("sync", sync),
    macro("wait", quiesceTasks),
    macro("wait", drain),
    macro("stop", stopped),
  ];
}
