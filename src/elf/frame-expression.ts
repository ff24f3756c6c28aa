/**
 * DWARF expressions as frame descriptions have them: where a register was saved, or what the
 * frame's address is, worked out on a stack of numbers. (DWARF 5, section 2.5; the C library's
 * signal frames and the procedure linkage table use them.)
 */
import type { Frames } from "./frame-entries.ts";

/** Registers by their DWARF numbers, and memory. */
export type FrameState = {
  readonly register: (number: number) => bigint | undefined;
  /** Eight bytes at `address`; undefined where nothing is mapped. */
  readonly word: (address: bigint) => bigint | undefined;
};

const op = {
  addr: 0x03,
  deref: 0x06,
  const1u: 0x08,
  const1s: 0x09,
  const2u: 0x0a,
  const2s: 0x0b,
  const4u: 0x0c,
  const4s: 0x0d,
  const8u: 0x0e,
  const8s: 0x0f,
  constu: 0x10,
  consts: 0x11,
  dup: 0x12,
  and: 0x1a,
  minus: 0x1c,
  mul: 0x1e,
  or: 0x21,
  plus: 0x22,
  plusUconst: 0x23,
  shl: 0x24,
  ge: 0x2a,
  lit0: 0x30,
  lit31: 0x4f,
  breg0: 0x70,
  breg31: 0x8f,
} as const;

const binary: ReadonlyMap<number, (a: bigint, b: bigint) => bigint> = new Map([
  [op.and, (a, b) => a & b],
  [op.minus, (a, b) => a - b],
  [op.mul, (a, b) => a * b],
  [op.or, (a, b) => a | b],
  [op.plus, (a, b) => a + b],
  [op.shl, (a, b) => a << (b & 63n)],
  [op.ge, (a, b) => (BigInt.asIntN(64, a) >= BigInt.asIntN(64, b) ? 1n : 0n)],
]);

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);

/** The number that an operation puts on the stack by itself; undefined where it is another kind. */
function literal(frames: Frames, code: number): bigint | undefined {
  const { view } = frames;
  const skip = (bytes: number): number => {
    const { at } = frames;
    frames.seek(at + bytes);
    return at;
  };
  if (code >= op.lit0 && code <= op.lit31) return BigInt(code - op.lit0);
  switch (code) {
    case op.const1u:
      return BigInt(view.getUint8(skip(1)));
    case op.const1s:
      return BigInt(view.getInt8(skip(1)));
    case op.const2u:
      return BigInt(view.getUint16(skip(2), true));
    case op.const2s:
      return BigInt(view.getInt16(skip(2), true));
    case op.const4u:
      return BigInt(view.getUint32(skip(4), true));
    case op.const4s:
      return BigInt(view.getInt32(skip(4), true));
    case op.addr:
    case op.const8u:
    case op.const8s:
      return view.getBigUint64(skip(8), true);
    case op.constu:
      return BigInt(frames.uleb());
    case op.consts:
      return BigInt(frames.sleb());
    default:
      return undefined;
  }
}

/**
 * Works out the expression in [`frames.at`, `end`); undefined where it needs what is not known.
 * @param initial is on the stack at the beginning: the frame's address, for a register's rule.
 */
export function evaluateFrameExpression(
  frames: Frames,
  end: number,
  state: FrameState,
  initial?: bigint,
): bigint | undefined {
  const stack: bigint[] = initial === undefined ? [] : [initial];
  while (frames.at < end) {
    const code = frames.u8();
    const number = literal(frames, code);
    const apply = binary.get(code);
    let value: bigint | undefined;
    if (number !== undefined) value = number;
    else if (code >= op.breg0 && code <= op.breg31) {
      const base = state.register(code - op.breg0);
      const offset = BigInt(frames.sleb());
      value = base === undefined ? undefined : base + offset;
    } else if (apply !== undefined) {
      const b = stack.pop();
      const a = stack.pop();
      value = a === undefined || b === undefined ? undefined : apply(a, b);
    } else if (code === op.plusUconst) {
      const a = stack.pop();
      const offset = BigInt(frames.uleb());
      value = a === undefined ? undefined : a + offset;
    } else if (code === op.deref) {
      const a = stack.pop();
      value = a === undefined ? undefined : state.word(wrap(a));
    } else if (code === op.dup) value = stack.at(-1);
    if (value === undefined) return undefined;
    stack.push(wrap(value));
  }
  return stack.at(-1);
}
