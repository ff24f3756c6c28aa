/**
 * Edges of AArch64: what the Arm ARM (B2.3, "Ordering relations") says of two accesses with this
 * between them.
 */
import {
  type Access,
  always,
  type Edge,
  edge,
  type Kind,
  type Language,
  never,
  type Ordered,
  toWrite,
  whenReplacing,
} from "./litmus-cycles.ts";

const fromRead: Ordered = (from) => from === "R";
const fromWrite: Ordered = (from) => from === "W";
const writes: Ordered = (from, to) => from === "W" && to === "W";

/** A plain access, or one by another mnemonic; `index` is a register added to the address. */
function access({ kind, value, place, second }: Access, mnemonic?: string, index?: string) {
  const register = second ? "W2" : "W0";
  const at = index === undefined ? `[${place}]` : `[${place},${index},SXTW]`;
  return kind === "R"
    ? [`${mnemonic ?? "LDR"} ${register},${at}`]
    : [`MOV ${register},#${value}`, `${mnemonic ?? "STR"} ${register},${at}`];
}

/** Instructions between the two. */
const between = (ordered: Ordered, ...code: readonly string[]): Edge =>
  edge(code.join("-").replaceAll(/[ #]+/g, ".") || "po", "RW RW", ordered, (a, b) => [
    ...access(a),
    ...code,
    ...access(b),
  ]);

/** From a read; `code` goes on with W0, and the second access is indexed by `index`. */
const from = (name: string, to: string, ordered: Ordered, code: string, index?: string): Edge =>
  edge(name, `R ${to}`, ordered, (a, b) => [
    ...access(a),
    ...code.split("; ").filter((line) => line !== ""),
    ...access(b, undefined, index),
  ]);

const barriers: readonly Edge[] = [
  between(never),
  ...["SY", "ISH", "OSH"].map((domain) => between(always, `DMB ${domain}`)),
  ...["LD", "ISHLD", "OSHLD"].map((domain) => between(fromRead, `DMB ${domain}`)),
  ...["ST", "ISHST", "OSHST"].map((domain) => between(writes, `DMB ${domain}`)),
  ...["SY", "ISH"].map((domain) => between(always, `DSB ${domain}`)),
  ...["LD", "ISHLD"].map((domain) => between(fromRead, `DSB ${domain}`)),
  // DSB ST holds up everything behind it, not only stores.
  ...["ST", "ISHST"].map((domain) => between(fromWrite, `DSB ${domain}`)),
  between((from, to) => from === "R" || to === "W", "DMB ST", "DMB LD"),
  between(always, "DSB SY", "ISB"),
  between(never, "ISB"),
  between(never, "NOP", "HINT #0", "YIELD"),
];

const dependencies: readonly Edge[] = [
  from("addr", "RW", always, "EOR W4,W0,W0", "W4"),
  from("addr-and", "RW", always, "AND W4,W0,#128", "W4"),
  from("addr-sub", "RW", always, "SUB W4,W0,W0", "W4"),
  edge("data", "R W", always, (a, { value, place }) => [
    ...[...access(a), "EOR W4,W0,W0", `ADD W4,W4,#${value}`, `STR W4,[${place}]`],
  ]),
  edge("data-mul", "R W", always, (a, { value, place }) => [
    ...[...access(a), "MUL W4,W0,WZR", `ORR W4,W4,#${value}`, `STR W4,[${place}]`],
  ]),
  from("ctrl", "RW", toWrite, "CBNZ W0,L; L:"),
  from("ctrl-cmp", "RW", toWrite, "CMP W0,#1; B.NE L; L:"),
  from("ctrl-tbz", "RW", toWrite, "TBZ W0,#0,L; L:"),
  from("ctrl-br", "RW", toWrite, "EOR X4,X0,X0; ADR X9,L; ADD X9,X9,X4; BR X9; L:"),
  from("ctrl-isb", "RW", always, "CBNZ W0,L; L: ISB"),
  from("isb-ctrl", "RW", toWrite, "ISB; CBNZ W0,L; L:"),
  from("addr-po", "RW", toWrite, "EOR W4,W0,W0; LDR W5,[X10,W4,SXTW]"),
  from("addr-store-po", "RW", toWrite, "EOR W4,W0,W0; STR W5,[X10,W4,SXTW]"),
  from("addr-po-isb", "RW", always, "EOR W4,W0,W0; LDR W5,[X10,W4,SXTW]; ISB"),
  // Through a store that the thread reads back: dependency, then local read successor.
  from(
    "data-rfi-addr",
    "RW",
    always,
    "EOR W4,W0,W0; STR W4,[X10]; LDR W6,[X10]; EOR W7,W6,W6",
    "W7",
  ),
  from(
    "ctrl-rfi-addr",
    "RW",
    toWrite,
    "CBNZ W0,L; L: STR W11,[X10]; LDR W6,[X10]; EOR W7,W6,W6",
    "W7",
  ),
  from("data-rfi-ctrl", "RW", toWrite, "EOR W4,W0,W0; STR W4,[X10]; LDR W6,[X10]; CBNZ W6,L; L:"),
  from(
    "data-rfi-ctrlisb",
    "RW",
    always,
    "EOR W4,W0,W0; STR W4,[X10]; LDR W6,[X10]; CBNZ W6,L; L: ISB",
  ),
  // The status of a store-exclusive carries no dependency (B2.3.2).
  from("status", "RW", never, "MOV W7,#1; LDXR W8,[X10]; STXR W9,W7,[X10]; EOR W9,W9,W9", "W9"),
  // Pick dependencies (B2.3.2): they order stores, not loads.
  edge("pick-addr", "R RW", toWrite, (a, b) => [
    ...[...access(a), "CMP W0,#1", `CSEL X9,${b.place},${b.place},EQ`],
    ...access({ ...b, place: "X9" }),
  ]),
  edge("pick-data", "R W", always, (a, { value, place }) => [
    ...[...access(a), "CMP W0,#1", `MOV W2,#${value}`, "CSEL W4,W2,W2,EQ", `STR W4,[${place}]`],
  ]),
  from("csel-operand", "RW", always, "EOR W4,W0,W0; CMP W5,#0; CSEL W9,W4,W4,EQ", "W9"),
];

const acquireRelease: readonly Edge[] = [
  ...["LDAR", "LDAPR", "LDAXR"].map((load) =>
    edge(load, "R RW", always, (a, b) => [...access(a, load), ...access(b)]),
  ),
  edge("LDXR", "R RW", never, (a, b) => [...access(a, "LDXR"), ...access(b)]),
  edge("po-STLR", "RW W", always, (a, b) => [...access(a), ...access(b, "STLR")]),
  edge("po-LDAR", "RW R", never, (a, b) => [...access(a), ...access(b, "LDAR")]),
  edge("STLR-po", "W RW", never, (a, b) => [...access(a, "STLR"), ...access(b)]),
  edge("STLR-LDAR", "W R", always, (a, b) => [...access(a, "STLR"), ...access(b, "LDAR")]),
  edge("STLR-LDAXR", "W R", always, (a, b) => [...access(a, "STLR"), ...access(b, "LDAXR")]),
  edge("STLR-LDAPR", "W R", never, (a, b) => [...access(a, "STLR"), ...access(b, "LDAPR")]),
  // Reading an own store back is early, except where RCsc release meets acquire.
  ...(
    [
      ["STR", "LDAR", never],
      ["STLR", "LDAR", always],
      ["STLR", "LDAPR", never],
    ] as const
  ).map(([store, load, ordered]) =>
    edge(`${store}-rfi-${load}`, "W RW", ordered, (a, b) => ({
      code: [...access(a, store), `${load} W6,[${a.place}]`, ...access(b)],
      condition: [`W6=${a.value}`],
    })),
  ),
  edge("rfi-addr", "W RW", never, (a, b) => ({
    code: [...access(a), `LDR W6,[${a.place}]`, "EOR W7,W6,W6", ...access(b, undefined, "W7")],
    condition: [`W6=${a.value}`],
  })),
];

/** Acquire orders the read half; release, what is in front of the store half; both, everything. */
const firstAtomic = (name: string): Ordered => {
  if (name.endsWith("AL")) return always;
  return name.endsWith("A") ? whenReplacing : never;
};
const secondAtomic = (name: string): Ordered => (name.endsWith("L") ? always : never);
const suffixed = (name: string): readonly string[] => ["", "A", "L", "AL"].map((s) => name + s);

const atomics: readonly Edge[] = [
  ...suffixed("SWP").flatMap((swap) => [
    edge(`${swap}-po`, "W RW", firstAtomic(swap), (a, b) => [
      ...[`MOV W0,#${a.value}`, `${swap} W0,W8,[${a.place}]`, ...access(b)],
    ]),
    edge(`po-${swap}`, "RW W", secondAtomic(swap), (a, b) => [
      ...[...access(a), `MOV W2,#${b.value}`, `${swap} W2,W8,[${b.place}]`],
    ]),
  ]),
  ...[...suffixed("LDADD"), ...suffixed("LDSET")].map((op) =>
    edge(`${op}-po`, "W RW", firstAtomic(op.replace("LDADD", "").replace("LDSET", "")), (a, b) =>
      a.value === 1 ? ["MOV W0,#1", `${op} W0,W8,[${a.place}]`, ...access(b)] : undefined,
    ),
  ),
  ...["STADD", "STADDL"].map((op) =>
    edge(`${op}-po`, "W RW", never, (a, b) =>
      a.value === 1 ? ["MOV W0,#1", `${op} W0,[${a.place}]`, ...access(b)] : undefined,
    ),
  ),
  ...suffixed("CAS").flatMap((cas) => [
    edge(`${cas}-po`, "W RW", firstAtomic(cas.slice(3)), (a, b) => ({
      code: [
        ...[`MOV W0,#${a.value}`, `MOV W8,#${a.value - 1}`, `${cas} W8,W0,[${a.place}]`],
        ...access(b),
      ],
      condition: [`W8=${a.value - 1}`],
    })),
    edge(`po-${cas}`, "RW W", secondAtomic(cas), (a, b) => ({
      code: [
        ...[...access(a), `MOV W2,#${b.value}`, `MOV W8,#${b.value - 1}`],
        `${cas} W8,W2,[${b.place}]`,
      ],
      condition: [`W8=${b.value - 1}`],
    })),
    // One that fails is a load.
    edge(`${cas}.fail-po`, "R RW", /A/.test(cas.slice(3)) ? always : never, (a, b) => [
      ...["MOV W0,#9", "MOV W7,#8", `${cas} W0,W7,[${a.place}]`, ...access(b)],
    ]),
  ]),
  ...["LDXR", "LDAXR"].flatMap((load) =>
    ["STXR", "STLXR"].flatMap((store) => [
      edge(`${load}-${store}-po`, "W RW", load === "LDAXR" ? whenReplacing : never, (a, b) => ({
        code: [
          ...[`MOV W0,#${a.value}`, `${load} W8,[${a.place}]`, `${store} W9,W0,[${a.place}]`],
          ...access(b),
        ],
        condition: ["W9=0"],
      })),
      edge(`po-${load}-${store}`, "RW W", store === "STLXR" ? always : never, (a, b) => ({
        code: [
          ...[...access(a), `MOV W2,#${b.value}`, `${load} W8,[${b.place}]`],
          `${store} W9,W2,[${b.place}]`,
        ],
        condition: ["W9=0"],
      })),
    ]),
  ),
];

const strong = between(always, "DMB SY");

/** AArch64: X1 and X3 hold the two places of a thread, X10 one of its own. */
export const aarch64Cycles: Language = {
  arch: "AArch64",
  edges: [...barriers, ...dependencies, ...acquireRelease, ...atomics],
  strong,
  single: (own) => access(own),
  placeOf: (_, second) => (second ? "X3" : "X1"),
  resultOf: (second) => (second ? "W2" : "W0"),
  initOf: (thread, [first = "", second]) =>
    second === undefined
      ? `${thread}:X1=${first};`
      : `${thread}:X1=${first}; ${thread}:X3=${second}; ${thread}:X10=z${thread};`,
};

export type { Kind };
