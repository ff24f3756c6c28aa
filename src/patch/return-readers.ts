/**
 * Functions that look at their own return address: `setjmp` keeps it to return a second time,
 * `dlsym` finds its caller by it, `vfork` takes it off the stack, unwinders begin with it. With a
 * hooked return they would see a thunk's address; they are entered through a plain jump only.
 *
 * They are found by following the stack pointer along the straight line from the function's
 * beginning to its first jump: a load of 8 bytes from the slot that the call pushed. Compilers
 * use that slot for nothing else.
 */
import { decodeInto, Instruction, prefixBit } from "../isa/x86-64/decode-into.ts";
import { attribute, flows } from "../isa/x86-64/opcode-attributes.ts";

const wordBytes = 8;
const rsp = 4;
const rbp = 5;
const rexB = 1;
const rexX = 2;
const rexR = 4;
const rexW = 8;

/** The stack as far as it is known: bytes below the return address's slot. */
type Frame = {
  /** Of rsp; NaN when it is not known. */
  depth: number;
  /** Of rbp, once it is a frame pointer; NaN before. */
  frameDepth: number;
};

/** The displacement of a memory operand; 0 when it has none. */
function displacement(view: DataView, at: number, one: Instruction): number {
  if (one.displacementBytes === 1) return view.getInt8(at + one.displacementOffset);
  return one.displacementBytes === 4 ? view.getInt32(at + one.displacementOffset, true) : 0;
}

/** Whether the memory operand is the return address's slot. */
function isReturnSlot(view: DataView, at: number, one: Instruction, frame: Frame): boolean {
  const { modrm, sib, rex } = one;
  if (modrm < 0 || modrm >= 0xc0 || (rex & rexB) !== 0) return false;
  const distance = displacement(view, at, one);
  if ((modrm & 7) === rsp) {
    const isBare = (sib & 7) === rsp && ((sib >> 3) & 7) === rsp && (rex & rexX) === 0;
    return isBare && distance === frame.depth;
  }
  return (modrm & 7) === rbp && modrm >= 0x40 && distance === frame.frameDepth;
}

/** Follows one instruction of the first opcode map; whether it reads the return address. */
function follow(view: DataView, at: number, one: Instruction, frame: Frame): boolean {
  const { opcode, modrm, rex } = one;
  const digit = (modrm >> 3) & 7;
  const isPush = opcode >= 0x50 && opcode < 0x58;
  if (isPush || opcode === 0x68 || opcode === 0x6a) frame.depth += wordBytes;
  else if (opcode >= 0x58 && opcode < 0x60) {
    const reads = frame.depth === 0;
    frame.depth -= wordBytes;
    return reads;
  } else if (opcode === 0xff && digit === 6) {
    const reads = isReturnSlot(view, at, one, frame);
    frame.depth += wordBytes;
    return reads;
  } else if (opcode === 0x8b) {
    if ((rex & rexW) !== 0 && isReturnSlot(view, at, one, frame)) return true;
    if (digit === rsp && (rex & rexR) === 0) frame.depth = Number.NaN;
    if (modrm === 0xec) frame.frameDepth = frame.depth;
  } else if (opcode === 0x89 && modrm === 0xe5) frame.frameDepth = frame.depth;
  else if ((opcode === 0x83 || opcode === 0x81) && (modrm & 0xc7) === 0xc4 && (rex & rexB) === 0) {
    const from = at + one.immediateOffset;
    const by = opcode === 0x83 ? view.getInt8(from) : view.getInt32(from, true);
    if (digit === 5) frame.depth += by;
    else if (digit === 0) frame.depth -= by;
    else if (digit !== 7) frame.depth = Number.NaN;
  } else if (opcode === 0x8d && digit === rsp && (rex & rexR) === 0) frame.depth = Number.NaN;
  else if (opcode === 0xc9 || opcode === 0x8f || opcode === 0xc8) frame.depth = Number.NaN;
  return false;
}

/** Whether the function whose bytes are `code` (borrowed) looks at its return address. */
export function readsReturnAddress(code: Uint8Array): boolean {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const one = new Instruction();
  const frame: Frame = { depth: 0, frameDepth: Number.NaN };
  for (let at = 0; at < code.length; ) {
    const length = decodeInto(code, at, one);
    if (length === 0) return false;
    const flow = flows[(one.word >> attribute.flowShift) & attribute.flowMask];
    if (flow === "jump" || flow === "indirectJump" || flow === "return" || flow === "far") {
      return false;
    }
    const isPlain = (one.prefixes & (prefixBit.fs | prefixBit.gs)) === 0;
    if (one.map === 0 && isPlain && follow(view, at, one, frame)) return true;
    at += length;
  }
  return false;
}
