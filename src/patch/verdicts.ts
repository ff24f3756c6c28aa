/**
 * The words in which protocols state what is expected of them and the checker answers: machines,
 * adversities, violations. Names only; what they mean is in `model/`.
 */

/** A machine of the checker, by the promise that its instruction fetch makes. */
export type MachineName =
  | "x86-intel"
  | "x86-amd"
  | "x86-observed"
  | "armv8-dic0-idc0"
  | "armv8-dic0-idc1"
  | "armv8-dic1-idc0"
  | "armv8-dic1-idc1"
  | "riscv-ziccif"
  | "riscv-ziccid"
  | "riscv-parcel"
  | "strong";

/** What may happen beside one patcher and one thread that runs the site; each is a switch. */
export type Adversity =
  /** The thread is preempted between any two instructions and resumed on any hart. */
  | "preemption"
  /** Interrupts whose handler calls the patched function; not while interrupts are off. */
  | "interrupts"
  /** Non-maskable interrupts whose handler calls it, also in traps and while harts are stopped. */
  | "nmi"
  /** A second patcher works on the same site, under the lock that serialises whole changes. */
  | "two-patchers"
  /** A batch of two sites; the thread calls either. */
  | "two-sites"
  /** Enable, disable, enable with another target. */
  | "retarget"
  /** From one target straight to another. */
  | "modify"
  /** What a state used is freed once the protocol's `retire` steps are done. */
  | "free"
  /** The thread is a hart's idle loop: never preempted, and no task that grace periods wait for. */
  | "idle-loop"
  /** Syncs by interrupt are carried out by firmware, with no kernel code on the other hart. */
  | "firmware-fences";

/** What can go wrong; each is a property that has to hold always. */
export type ViolationKind =
  /** A hart executed bytes at an address where no state of the site puts such an instruction. */
  | "unwritten-instruction"
  /** An instruction outside of Arm's list was fetched while it was being changed. */
  | "unpredictable"
  /** Control arrived where nothing is: a base of one state with an offset of another. */
  | "wild-jump"
  /** The return address, the stack or a register that the function needs was lost. */
  | "lost-context"
  /** Ops, a function or a trampoline was used after it was freed. */
  | "use-after-free"
  /** A callback ran with ops that are not its own. */
  | "wrong-pairing"
  /** A load through a pointer that was never stored whole. */
  | "torn-data"
  /** A trap that nobody was there to handle. */
  | "unhandled-trap"
  /** A state from which the patcher can't finish or a thread can't get out any more. */
  | "stuck";

export const violationTexts: Readonly<Record<ViolationKind, string>> = {
  "unwritten-instruction": "executed an instruction that nobody wrote",
  unpredictable: "executed an unlisted instruction while it was being changed",
  "wild-jump": "jumped to a mixed target",
  "lost-context": "lost a return address or a register",
  "use-after-free": "used something that was freed",
  "wrong-pairing": "ran a callback with ops that are not its own",
  "torn-data": "loaded through a pointer that was never stored whole",
  "unhandled-trap": "took a trap that nobody handles",
  stuck: "can't get out any more",
};

/** What is expected of a check, or found by it. */
export type Verdict = "safe" | ViolationKind;
