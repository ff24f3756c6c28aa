// table
/**
 * Steps that a safe protocol has although its checks hold without them, each with the reason why it
 * stays. Every other step of every safe protocol is needed: a test takes each one out.
 */

/** What a reason is about: protocols by their ids, steps by their text. */
type Rule = { readonly protocols: RegExp; readonly step: RegExp; readonly reason: string };

const rules: readonly Rule[] = [
  {
    protocols: /^(P1\/|P2\/|P3\/one-flush|P10\/[cd]|P12\/(arm64|riscv))/,
    step: /^store barrier$/,
    reason:
      "orders the literal before the instruction, so that a new call finds its own ops; " +
      "without it " +
      "the call finds older ones, which are live too",
  },
  {
    protocols: /^(P3\/direct-by-ops|P9\/switch-slot)$/,
    step: /^store barrier$/,
    reason: "publishes the word before anything else is stored; dropping the lock does it, too",
  },
  {
    protocols: /^(P1\/|P8\/three$|P12\/arm64)/,
    step: /^(clean|invalidate|full barrier|local sync)/,
    reason:
      "without maintenance a hart may never see the change: old and new are both right for ever. " +
      "With it, it sees the change at its next context synchronisation",
  },
  {
    protocols: /^P8\/(three-synced|b-grace)$/,
    step: /^(full barrier|local sync)$/,
    reason: "the end of the maintenance sequence (Arm ARM B2.4.4); the sync behind it implies it",
  },
  {
    protocols: /^LIVE\/(call-ops-)?(word|slot|skip-pair)$/,
    step: /^(full barrier|local sync)$/,
    reason:
      "the end of the maintenance sequence (Arm ARM B2.4.4; RISC-V, Zifencei); " +
      "the sync behind it implies it",
  },
  {
    protocols: /^LIVE\/(call-ops-link|moved)$/,
    step: /^(clean|invalidate|full barrier|local sync|sync by membarrier)/,
    reason:
      "its safe checks are those of a machine whose fetches see every store at once, as an " +
      "emulator's do; on a processor the sync is what the drain and the call rely on",
  },
  {
    protocols: /^LIVE\/moved-stopped$/,
    step: /^sync by membarrier$/,
    reason:
      "threads that were stopped go on by an exception return, which synchronises them; " +
      "with it, no way to stop a thread has to be trusted with that",
  },
  {
    protocols: /^P3\//,
    step: /^(local sync|full barrier|sync by interrupt)$/,
    reason: "what Linux does behind each store; P3/one-flush does it once and is as safe",
  },
  {
    protocols: /^(P1\/direct-by-ops|P3\/direct-by-ops|P9\/switch-slot|LIVE\/)/,
    step: /^grace period \(harts\)$/,
    reason: "for idle loops, which the checks that free something here do not have",
  },
  {
    protocols: /^P4\/stop-machine$/,
    step: /^grace period/,
    reason: "without preemption, harts stop with nobody in a trampoline; kernels wait all the same",
  },
  {
    protocols: /^P6\/guard$/,
    step: /^grace period/,
    reason: "the grace period inside of the protocol has just emptied the trampolines",
  },
  {
    protocols: /^P11\//,
    step: /^store barrier$/,
    reason: "the wait behind it is a full barrier",
  },
  {
    protocols: /^P12\/arm64$/,
    step: /^sync by membarrier$/,
    reason: "for calls straight to what is freed; here the literal leads there (see P1/straight)",
  },
];

/** Why a step stays that the checks do not miss; `undefined`: there is no reason. */
export const whyItStays = (protocol: string, step: string): string | undefined =>
  rules.find((rule) => rule.protocols.test(protocol) && rule.step.test(step))?.reason;

/** Variants that leave something out to show what happens; nobody should use them. */
export const isExploration = (protocol: string): boolean =>
  /\/(no-|freed-|unordered-|b-grace-|call-ops-window-first$)|^P8\/a$|^P5\/no-/.test(protocol);
