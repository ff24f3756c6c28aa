/** Edges of x86-64: TSO keeps all but a store before a load (Intel SDM Vol. 3A, 9.2; x86-TSO). */
import {
  type Access,
  always,
  type Edge,
  edge,
  type Language,
  type Ordered,
} from "./litmus-cycles.ts";

const buffered: Ordered = (from, to) => from === "R" || to === "W";

const access = ({ kind, value, place, second }: Access): readonly string[] =>
  kind === "R" ? [`movl (${place}),${second ? "%ecx" : "%eax"}`] : [`movl $${value},(${place})`];

/** `z` in the code is a place of the thread's own. */
const between = (ordered: Ordered, name: string, code: string): Edge =>
  edge(name, "RW RW", ordered, (a, b, own) => [
    ...access(a),
    ...code.split("; ").map((line) => line.replace("(z)", `(${own})`)),
    ...access(b),
  ]);

const edges: readonly Edge[] = [
  between(buffered, "po", "nop"),
  between(always, "mfence", "mfence"),
  between(always, "MFENCE", "MFENCE"),
  between(buffered, "lfence", "lfence"),
  between(buffered, "sfence", "sfence"),
  between(buffered, "pause", "pause"),
  between(buffered, "clflush", "clflush (z)"),
  between(always, "lock-add", "lock addl $0,(z)"),
  between(always, "lock-or-stack", "lock orl $0,-8(%rsp)"),
  between(always, "lock-inc", "lock incl (z)"),
  between(always, "lock-xadd", "lock xaddl %edx,(z)"),
  between(always, "lock-cmpxchg", "movl %eax,%r9d; lock cmpxchgl %edx,(z); movl %r9d,%eax"),
  between(
    always,
    "lock-cmpxchg.fail",
    "movl %eax,%r9d; movl $7,%eax; lock cmpxchgl %edx,(z); movl %r9d,%eax",
  ),
  between(buffered, "xadd", "xaddl %edx,(z)"),
  between(always, "xchg", "xchgl %edx,(z)"),
  between(always, "xchg.turned", "xchgl (z),%edx"),
  between(always, "cpuid", "movl %eax,%r9d; cpuid; movl %r9d,%eax; movl $0,%ecx"),
  between(always, "serialize", "serialize"),
  edge("xchg-po", "W RW", always, (a, b) => [
    ...[`movl $${a.value},%edx`, `xchgl %edx,(${a.place})`, ...access(b)],
  ]),
  edge("lock-add-po", "W RW", always, (a, b) =>
    a.value === 1 ? [`lock addl $1,(${a.place})`, ...access(b)] : undefined,
  ),
  edge("add-po", "W RW", buffered, (a, b) =>
    a.value === 1 ? [`addl $1,(${a.place})`, ...access(b)] : undefined,
  ),
  edge("ctrl", "R RW", always, (a, b) => [
    ...access(a),
    "testl %eax,%eax",
    "jz L",
    "L:",
    ...access(b),
  ]),
  edge("rfi", "W RW", buffered, (a, b) => ({
    code: [...access(a), `movl (${a.place}),%edx`, ...access(b)],
    condition: [`edx=${a.value}`],
  })),
];

/** x86-64: instructions name places. */
export const x86Cycles: Language = {
  arch: "X86_64",
  edges,
  strong: between(always, "mfence", "mfence"),
  single: (own) => access(own),
  placeOf: (name) => name,
  resultOf: (second) => (second ? "ecx" : "eax"),
  initOf: () => "",
};
