/** Edges of RISC-V: preserved program order of RVWMO (Volume I), by the numbers of its rules. */
import {
  type Access,
  always,
  type Edge,
  edge,
  type Language,
  never,
  type Ordered,
  toWrite,
  whenReplacing,
} from "./litmus-cycles.ts";

const access = ({ kind, value, place, second }: Access, base = place): readonly string[] => {
  const register = second ? "x7" : "x5";
  return kind === "R"
    ? [`lw ${register},0(${base})`]
    : [`ori ${register},x0,${value}`, `sw ${register},0(${base})`];
};

/** The access at an address that depends on a register. */
const dependent = (own: Access, register: string): readonly string[] => [
  ...[`xor x8,${register},${register}`, `add x9,x8,${own.place}`, ...access(own, "x9")],
];

const between = (ordered: Ordered, ...code: readonly string[]): Edge =>
  edge(code.join("-").replaceAll(/[ ,]+/g, ".") || "po", "RW RW", ordered, (a, b) => [
    ...[...access(a), ...code, ...access(b)],
  ]);

/** From a read: code that goes on with x5, then the second access, at an address by `register`. */
const from = (
  name: string,
  ordered: Ordered,
  code: string,
  register?: string,
  kinds = "R RW",
): Edge =>
  edge(name, kinds, ordered, (a, b) => [
    ...[...access(a), ...code.split("; ").filter((line) => line !== "")],
    ...(register === undefined ? access(b) : dependent(b, register)),
  ]);

const sets = ["r", "w", "rw"];

/** Rule 4. */
const fences: readonly Edge[] = [
  between(never),
  ...sets.flatMap((before) =>
    sets.map((after) =>
      between(
        (a, b) => before.includes(a.toLowerCase()) && after.includes(b.toLowerCase()),
        `fence ${before},${after}`,
      ),
    ),
  ),
  between(always, "fence"),
  between(always, "FENCE IORW, IORW"),
  between(never, "fence io,io"),
  between((a, b) => a === "R" && b === "W", "fence ir,ow"),
  between((a, b) => a === "R" || b === "W", "fence.tso"),
  between((a, b) => a === b, "fence r,r", "fence w,w"),
  // Zifencei: accesses before later fetches, and a fetch before what its instruction does.
  between(always, "fence.i"),
  between(never, "nop", "pause"),
];

/** Rules 9 to 13. */
const dependencies: readonly Edge[] = [
  from("addr", always, "", "x5"),
  edge("data", "R W", always, (a, { value, place }) => [
    ...[...access(a), "xor x8,x5,x5", `addi x8,x8,${value}`, `sw x8,0(${place})`],
  ]),
  edge("data-and", "R W", always, (a, { value, place }) => [
    ...[...access(a), "andi x8,x5,0", `ori x8,x8,${value}`, `sw x8,0(${place})`],
  ]),
  ...["bne x5,x0,L", "bnez x5,L", "beqz x5,L", "bgt x5,x0,L"].map((branch) =>
    from(`ctrl-${branch.slice(0, 4).trim()}`, toWrite, `${branch}; L:`),
  ),
  from("ctrl-fencei", always, "bne x5,x0,L; L: fence.i"),
  from("addr-po", toWrite, "xor x8,x5,x5; add x9,x8,x4; lw x12,0(x9)"),
  from("addr-store-po", toWrite, "xor x8,x5,x5; add x9,x8,x4; sw x12,0(x9)"),
  from("data-rfi-addr", always, "xor x8,x5,x5; sw x8,0(x4); lw x13,0(x4)", "x13"),
  from("ctrl-rfi-addr", toWrite, "bnez x5,L; L: sw x0,0(x4); lw x13,0(x4)", "x13"),
  edge("rfi-addr", "W RW", never, (a, b) => ({
    code: [...access(a), `lw x13,0(${a.place})`, ...dependent(b, "x13")],
    condition: [`x13=${a.value}`],
  })),
];

const hasAcquire = (name: string): boolean => name.includes(".aq");
const hasRelease = (name: string): boolean => name.endsWith("rl");
const annotated = (name: string): readonly string[] =>
  ["", ".aq", ".rl", ".aq.rl", ".aqrl"].map((suffix) => name + suffix);

/** Rules 5 to 8; an AMO is load and store at once, LR and SC are two operations. */
const atomics: readonly Edge[] = [
  ...annotated("lr.w").map((load) =>
    edge(load, "R RW", hasAcquire(load) ? always : never, (a, b) => [
      ...[`${load} x5,(${a.place})`, ...access(b)],
    ]),
  ),
  ...annotated("amoswap.w").flatMap((swap) => [
    edge(`${swap}-po`, "W RW", hasAcquire(swap) ? always : never, (a, b) => [
      ...[`ori x5,x0,${a.value}`, `${swap} x10,x5,(${a.place})`, ...access(b)],
    ]),
    edge(`po-${swap}`, "RW W", hasRelease(swap) ? always : never, (a, b) => [
      ...[...access(a), `ori x7,x0,${b.value}`, `${swap} x10,x7,0(${b.place})`],
    ]),
  ]),
  ...["amoadd.w", "amoor.w.rl", "amomax.w.aq", "amoxor.w.aq"].map((op) =>
    edge(`${op}-po`, "W RW", hasAcquire(op) ? always : never, (a, b) =>
      a.value === 1 ? ["ori x5,x0,1", `${op} x10,x5,(${a.place})`, ...access(b)] : undefined,
    ),
  ),
  ...["lr.w", "lr.w.aq", "lr.w.aqrl"].flatMap((load) =>
    ["sc.w", "sc.w.rl", "sc.w.aqrl"].flatMap((store) => {
      const first = hasAcquire(store) ? always : hasAcquire(load) ? whenReplacing : never;
      return [
        edge(`${load}-${store}-po`, "W RW", first, (a, b) => ({
          code: [
            ...[`ori x5,x0,${a.value}`, `${load} x10,(${a.place})`],
            ...[`${store} x11,x5,(${a.place})`, ...access(b)],
          ],
          condition: ["x11=0"],
        })),
        // Release of LR orders before LR, and LR is before its SC (rules 6 and 8).
        edge(
          `po-${load}-${store}`,
          "RW W",
          hasRelease(store) || hasRelease(load) ? always : never,
          (a, b) => ({
            code: [
              ...[...access(a), `ori x7,x0,${b.value}`, `${load} x10,(${b.place})`],
              `${store} x11,x7,(${b.place})`,
            ],
            condition: ["x11=0"],
          }),
        ),
      ];
    }),
  ),
  edge("amoswap.rl-lr.aq", "W R", always, (a, b) => [
    ...[`ori x5,x0,${a.value}`, `amoswap.w.rl x10,x5,(${a.place})`, `lr.w.aq x7,(${b.place})`],
  ]),
  edge("po-lr.aq", "RW R", never, (a, b) => [...access(a), `lr.w.aq x7,(${b.place})`]),
  // One operation: what orders before its store half orders before its load half.
  ...["fence w,w", "fence rw,w"].map((fence) =>
    edge(`${fence.replaceAll(/[ ,]/g, ".")}-amo-addr`, "W RW", always, (a, b) => [
      ...[...access(a), fence, "amoswap.w x10,x0,(x4)", ...dependent(b, "x10")],
    ]),
  ),
  from("fence.r.w-amo-addr", always, "fence r,w; amoswap.w x10,x0,(x4)", "x10"),
  from("data-amo-addr", always, "xor x14,x5,x5; amoadd.w x10,x14,(x4)", "x10"),
  from("ctrl-amo-addr", always, "bnez x5,L; L: amoadd.w x10,x0,(x4)", "x10"),
  edge("fence.w.w-amo-fence.r.r", "W R", always, (a, b) => [
    ...[...access(a), "fence w,w", "amoadd.w x10,x0,(x4)", "fence r,r", ...access(b)],
  ]),
  from(
    "fence.r.r-amo-fence.w.w",
    always,
    "fence r,r; amoadd.w x10,x0,(x4); fence w,w",
    undefined,
    "R W",
  ),
  // Rule 3: a load of what an AMO or SC of the same hart has stored.
  edge("amo-rfi-addr", "W RW", always, (a, b) => ({
    code: [
      ...[`ori x5,x0,${a.value}`, `amoswap.w x10,x5,(${a.place})`, `lw x13,0(${a.place})`],
      ...dependent(b, "x13"),
    ],
    condition: [`x13=${a.value}`],
  })),
  edge("sc-rfi-addr", "W RW", always, (a, b) => ({
    code: [
      ...[`ori x5,x0,${a.value}`, `lr.w x10,(${a.place})`, `sc.w x11,x5,(${a.place})`],
      ...[`lw x13,0(${a.place})`, ...dependent(b, "x13")],
    ],
    condition: [`x13=${a.value}`, "x11=0"],
  })),
  // SC is a source of its rd.
  edge("fence.r.w-sc-status", "R RW", always, (a, b) => ({
    code: [
      ...[...access(a), "lr.w x10,(x4)", "fence r,w", "sc.w x11,x0,(x4)"],
      ...dependent(b, "x11"),
    ],
    condition: ["x11=0"],
  })),
];

/** RISC-V: x1 and x3 hold the two places of a thread, x4 one of its own. */
export const riscvCycles: Language = {
  arch: "RISCV",
  edges: [...fences, ...dependencies, ...atomics],
  strong: between(always, "fence rw,rw"),
  single: (own) => access(own),
  placeOf: (_, second) => (second ? "x3" : "x1"),
  resultOf: (second) => (second ? "x7" : "x5"),
  initOf: (thread, [first = "", second]) =>
    second === undefined
      ? `${thread}:x1=${first};`
      : `${thread}:x1=${first}; ${thread}:x3=${second}; ${thread}:x4=z${thread};`,
};
