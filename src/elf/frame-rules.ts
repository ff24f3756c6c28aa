/**
 * The rules of a frame at one instruction: what the programs in `.eh_frame` come to when they are
 * run up to it. Source: DWARF 5, section 6.4.2.
 */
import type { Common, Frames } from "./frame-entries.ts";

/** Where the caller's value of a register is. */
export type Rule =
  | { readonly kind: "same" }
  | { readonly kind: "undefined" }
  | { readonly kind: "offset" | "valOffset"; readonly offset: number }
  | { readonly kind: "register"; readonly register: number }
  | { readonly kind: "expression" | "valExpression"; readonly at: number; readonly end: number };

type CfaRule =
  | { readonly kind: "register"; register: number; offset: number }
  | { readonly kind: "expression"; readonly at: number; readonly end: number };

/** What holds at one instruction. */
export type Row = { cfa: CfaRule; readonly rules: Map<number, Rule> };

const cfaOp = {
  setLoc: 0x01,
  advance1: 0x02,
  advance2: 0x03,
  advance4: 0x04,
  offsetExtended: 0x05,
  restoreExtended: 0x06,
  undefined: 0x07,
  sameValue: 0x08,
  register: 0x09,
  remember: 0x0a,
  restoreState: 0x0b,
  defCfa: 0x0c,
  defCfaRegister: 0x0d,
  defCfaOffset: 0x0e,
  defCfaExpression: 0x0f,
  expression: 0x10,
  offsetExtendedSf: 0x11,
  defCfaSf: 0x12,
  defCfaOffsetSf: 0x13,
  valOffset: 0x14,
  valOffsetSf: 0x15,
  valExpression: 0x16,
  gnuArgsSize: 0x2e,
} as const;

/** The rules at `addr`; undefined where an instruction is not known. */
export function runTo(
  frames: Frames,
  entry: { readonly start: number; readonly program: number; readonly end: number },
  common: Common,
  addr: number,
): Row | undefined {
  const row: Row = { cfa: { kind: "register", register: 7, offset: 8 }, rules: new Map() };
  const machine = new RuleMachine(frames, common, row);
  if (!machine.run(common.program, common.end, Number.POSITIVE_INFINITY, entry.start)) {
    return undefined;
  }
  machine.keepInitial();
  return machine.run(entry.program, entry.end, addr, entry.start) ? machine.row : undefined;
}

/** Carries out the instructions of a description. */
class RuleMachine {
  row: Row;
  readonly #frames: Frames;
  readonly #common: Common;
  #initial: ReadonlyMap<number, Rule> = new Map();
  readonly #remembered: Row[] = [];

  constructor(frames: Frames, common: Common, row: Row) {
    this.#frames = frames;
    this.#common = common;
    this.row = row;
  }

  keepInitial(): void {
    this.#initial = new Map(this.row.rules);
  }

  /** Runs [`from`, `end`) as far as it is about code up to `addr`; false where it can't be. */
  run(from: number, end: number, addr: number, start: number): boolean {
    const frames = this.#frames.seek(from);
    let location = start;
    while (frames.at < end) {
      const code = frames.u8();
      const advance = this.#advance(code, location);
      if (advance !== undefined) {
        location = advance;
        if (location > addr) return true;
      } else if (!this.#carryOut(code)) return false;
    }
    return true;
  }

  /** The location that an instruction goes on to; undefined for those that set rules. */
  #advance(code: number, location: number): number | undefined {
    const frames = this.#frames;
    const { codeAlign } = this.#common;
    if (code >> 6 === 1) return location + (code & 63) * codeAlign;
    const { at, view } = frames;
    switch (code) {
      case cfaOp.advance1:
        frames.seek(at + 1);
        return location + view.getUint8(at) * codeAlign;
      case cfaOp.advance2:
        frames.seek(at + 2);
        return location + view.getUint16(at, true) * codeAlign;
      case cfaOp.advance4:
        frames.seek(at + 4);
        return location + view.getUint32(at, true) * codeAlign;
      case cfaOp.setLoc:
        return frames.pointer(this.#common.encoding);
      default:
        return undefined;
    }
  }

  #carryOut(code: number): boolean {
    const frames = this.#frames;
    const { rules } = this.row;
    const { dataAlign } = this.#common;
    if (code >> 6 === 2) {
      rules.set(code & 63, { kind: "offset", offset: frames.uleb() * dataAlign });
      return true;
    }
    if (code >> 6 === 3) {
      this.#restore(code & 63);
      return true;
    }
    switch (code) {
      case 0:
        return true;
      case cfaOp.gnuArgsSize:
        frames.uleb();
        return true;
      case cfaOp.remember: {
        const { cfa } = this.row;
        this.#remembered.push({ cfa: { ...cfa }, rules: new Map(rules) });
        return true;
      }
      case cfaOp.restoreState: {
        const row = this.#remembered.pop();
        if (row !== undefined) this.row = row;
        return row !== undefined;
      }
      case cfaOp.restoreExtended:
        this.#restore(frames.uleb());
        return true;
      default:
        return this.#defineCfa(code) || this.#defineRule(code);
    }
  }

  #restore(register: number): void {
    const rule = this.#initial.get(register);
    if (rule === undefined) this.row.rules.delete(register);
    else this.row.rules.set(register, rule);
  }

  #defineCfa(code: number): boolean {
    const frames = this.#frames;
    const { row } = this;
    const { dataAlign } = this.#common;
    const { cfa } = row;
    switch (code) {
      case cfaOp.defCfa:
        row.cfa = { kind: "register", register: frames.uleb(), offset: frames.uleb() };
        return true;
      case cfaOp.defCfaSf:
        row.cfa = { kind: "register", register: frames.uleb(), offset: frames.sleb() * dataAlign };
        return true;
      case cfaOp.defCfaRegister:
        if (cfa.kind !== "register") return false;
        row.cfa = { ...cfa, register: frames.uleb() };
        return true;
      case cfaOp.defCfaOffset:
        if (cfa.kind !== "register") return false;
        row.cfa = { ...cfa, offset: frames.uleb() };
        return true;
      case cfaOp.defCfaOffsetSf:
        if (cfa.kind !== "register") return false;
        row.cfa = { ...cfa, offset: frames.sleb() * dataAlign };
        return true;
      case cfaOp.defCfaExpression:
        row.cfa = { kind: "expression", ...this.#block() };
        return true;
      default:
        return false;
    }
  }

  #defineRule(code: number): boolean {
    const frames = this.#frames;
    const { rules } = this.row;
    const { dataAlign } = this.#common;
    const register = frames.uleb();
    switch (code) {
      case cfaOp.offsetExtended:
        rules.set(register, { kind: "offset", offset: frames.uleb() * dataAlign });
        return true;
      case cfaOp.offsetExtendedSf:
        rules.set(register, { kind: "offset", offset: frames.sleb() * dataAlign });
        return true;
      case cfaOp.valOffset:
        rules.set(register, { kind: "valOffset", offset: frames.uleb() * dataAlign });
        return true;
      case cfaOp.valOffsetSf:
        rules.set(register, { kind: "valOffset", offset: frames.sleb() * dataAlign });
        return true;
      case cfaOp.undefined:
        rules.set(register, { kind: "undefined" });
        return true;
      case cfaOp.sameValue:
        rules.set(register, { kind: "same" });
        return true;
      case cfaOp.register:
        rules.set(register, { kind: "register", register: frames.uleb() });
        return true;
      case cfaOp.expression:
        rules.set(register, { kind: "expression", ...this.#block() });
        return true;
      case cfaOp.valExpression:
        rules.set(register, { kind: "valExpression", ...this.#block() });
        return true;
      default:
        return false;
    }
  }

  /** The place of an expression, which is passed over. */
  #block(): { readonly at: number; readonly end: number } {
    const size = this.#frames.uleb();
    const { at } = this.#frames;
    this.#frames.seek(at + size);
    return { at, end: at + size };
  }
}
