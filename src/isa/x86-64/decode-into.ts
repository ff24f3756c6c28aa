/**
 * Decoding for loops that look at every instruction of a program: one record that is reused, plain
 * numbers, no allocation (Intel SDM Vol. 2A, chapter 2: instruction format).
 */
import {
  attribute,
  attributeIndex,
  attributes,
  groupAttributes,
  mapNumber,
} from "./opcode-attributes.ts";
import { threeDNowSuffixes } from "./opcode-map.ts";

/** Longest instruction; hardware faults on more, whatever they are made of. */
export const instructionBytesMax = 15;

/** Bits of `Instruction.prefixes`. */
export const prefixBit = {
  operandSize: 1,
  addressSize: 2,
  lock: 4,
  repne: 8,
  rep: 16,
  fs: 32,
  gs: 64,
  rex: 128,
  /** es, cs, ss, ds: without effect on addresses in 64-bit mode; branch hints and notrack. */
  other: 256,
} as const;

/** What `decodeInto` found; offsets count from the beginning of the instruction. */
export class Instruction {
  length = 0;
  /** An attribute word, see `attribute`. */
  word = 0;
  /** Number of the opcode map, see `mapNames`; -1 for 3DNow!, whose opcode is the suffix byte. */
  map = 0;
  opcode = 0;
  /** Mandatory prefix, or that of VEX, EVEX: 0 none, 1 66, 2 F3, 3 F2. */
  pp = 0;
  /** Legacy prefixes that stand there, see `prefixBit`. */
  prefixes = 0;
  /** W R X B as bits 3 to 0, from REX, VEX, EVEX or XOP. */
  rex = 0;
  /** VEX.vvvv, upright. */
  vvvv = 0;
  /** Vector length of VEX, EVEX, XOP: 0 128, 1 256, 2 512 bits. */
  vectorLength = 0;
  /** The ModRM byte, or -1. */
  modrm = -1;
  /** The SIB byte, or -1. */
  sib = -1;
  displacementOffset = 0;
  /** 0, 1 or 4 bytes (8 for mov with an absolute address). */
  displacementBytes = 0;
  immediateOffset = 0;
  /** 0 to 8 bytes; of a direct branch, the distance. */
  immediateBytes = 0;
}

// What a byte is before the opcode: 0 an opcode, else its `prefixBit`.
const prefixKinds = new Uint16Array(256);
prefixKinds.fill(prefixBit.rex, 0x40, 0x50);
for (const byte of [0x26, 0x2e, 0x36, 0x3e]) prefixKinds[byte] = prefixBit.other;
prefixKinds[0x64] = prefixBit.fs;
prefixKinds[0x65] = prefixBit.gs;
prefixKinds[0x66] = prefixBit.operandSize;
prefixKinds[0x67] = prefixBit.addressSize;
prefixKinds[0xf0] = prefixBit.lock;
prefixKinds[0xf2] = prefixBit.repne;
prefixKinds[0xf3] = prefixBit.rep;

const isThreeDNow = new Uint8Array(256);
for (const suffix of threeDNowSuffixes) isThreeDNow[suffix] = 1;

// Displacement bytes by ModRM, with bit 3 where a SIB byte follows (SDM Vol. 2A, table 2-2).
const sibFollows = 8;
const modrmShape = new Uint8Array(256);
for (let modrm = 0; modrm < 0xc0; modrm++) {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  const displacement = mod === 1 ? 1 : mod === 2 || rm === 5 ? 4 : 0;
  modrmShape[modrm] = displacement | (rm === 4 ? sibFollows : 0);
}

const vexMaps = new Int8Array(32).fill(-1);
vexMaps.set([mapNumber("vex1"), mapNumber("vex2"), mapNumber("vex3")], 1);
const evexMaps = new Int8Array(8).fill(-1);
evexMaps.set([mapNumber("evex1"), mapNumber("evex2"), mapNumber("evex3")], 1);
evexMaps.set([mapNumber("evex5"), mapNumber("evex6")], 5);
const xopMaps = new Int8Array(32).fill(-1);
xopMaps.set([mapNumber("xop8"), mapNumber("xop9"), mapNumber("xop10")], 8);

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
const wordAt = (words: Int32Array, at: number): number => words[at] ?? 0;
const kindOf = (byte: number): number => prefixKinds[byte] ?? 0;
const mapAt = (maps: Int8Array, at: number): number => maps[at] ?? -1;

/** VEX, EVEX and XOP stand for these prefixes; the processor faults where both are there. */
const excludedByVex =
  prefixBit.operandSize | prefixBit.lock | prefixBit.repne | prefixBit.rep | prefixBit.rex;

/**
 * Decodes the instruction at `bytes[start]` (borrowed) into `out`.
 * @returns its length, or 0 where there is no instruction or the bytes end within it; `out` is then
 * without meaning.
 */
export const decodeInto = (bytes: Uint8Array, start: number, out: Instruction): number => {
  const limit = Math.min(bytes.length, start + instructionBytesMax);
  let at = start;
  let prefixes = 0;
  let rex = 0;
  let byte = 0;
  for (;;) {
    if (at >= limit) return 0;
    byte = byteAt(bytes, at++);
    const kind = kindOf(byte);
    if (kind === 0) break;
    if (kind === prefixBit.rex) {
      rex = byte;
    } else {
      // REX counts only directly before the opcode; of F2 and F3 the last one counts.
      rex = 0;
      if ((kind & (prefixBit.repne | prefixBit.rep)) !== 0) {
        prefixes &= ~(prefixBit.repne | prefixBit.rep);
      }
      prefixes |= kind;
    }
  }
  if (rex !== 0) prefixes |= prefixBit.rex;
  out.prefixes = prefixes;
  out.rex = rex & 15;
  out.vvvv = 0;
  out.vectorLength = 0;
  out.map = 0;
  out.pp = mandatoryPrefix(prefixes);
  if (byte === 0x0f) {
    at = afterEscape(bytes, at, out);
    if (out.map < 0) return finishThreeDNow(bytes, start, at, limit, out);
  } else if (byte === 0xc5 || byte === 0xc4 || byte === 0x62 || byte === 0x8f) {
    at = afterVector(bytes, byte, at, out);
    if (at === 0) return 0;
  } else {
    out.opcode = byte;
  }
  return finish(bytes, start, at, limit, out);
};

const mandatoryPrefix = (prefixes: number): number => {
  if ((prefixes & prefixBit.repne) !== 0) return 3;
  if ((prefixes & prefixBit.rep) !== 0) return 2;
  return prefixes & prefixBit.operandSize;
};

/** After 0F: sets map and opcode. */
const afterEscape = (bytes: Uint8Array, at: number, out: Instruction): number => {
  const second = byteAt(bytes, at);
  if (second === 0x38 || second === 0x3a) {
    out.map = second === 0x38 ? 2 : 3;
    out.opcode = byteAt(bytes, at + 1);
    return at + 2;
  }
  out.map = second === 0x0f ? -1 : 1;
  out.opcode = second;
  return at + 1;
};

/** After C4, C5, 62, 8F: sets map, opcode and what the prefix carries; 0 where it is malformed. */
const afterVector = (bytes: Uint8Array, byte: number, at: number, out: Instruction): number => {
  const first = byteAt(bytes, at);
  const isXop = byte === 0x8f && (first & 0x1f) >= 8;
  if (byte === 0x8f && !isXop) {
    out.opcode = byte;
    return at;
  }
  if ((out.prefixes & excludedByVex) !== 0) return 0;
  if (byte === 0x62) return afterEvex(bytes, at, out);
  // SDM Vol. 2A, 2.3.5: R, X, B and vvvv stand inverted; the two-byte form has R vvvv L pp.
  let low = first;
  if (byte === 0xc5) {
    out.map = mapAt(vexMaps, 1);
    out.rex = ((first >> 7) ^ 1) << 2;
  } else {
    low = byteAt(bytes, at + 1);
    out.map = mapAt(isXop ? xopMaps : vexMaps, first & 0x1f);
    out.rex = ((low >> 4) & 8) | ((first >> 5) ^ 7);
  }
  if (out.map < 0) return 0;
  out.vvvv = (~low >> 3) & 15;
  out.vectorLength = (low >> 2) & 1;
  // VEX.pp counts none, 66, F3, F2, as the attributes do.
  out.pp = low & 3;
  const opcodeAt = byte === 0xc5 ? at + 1 : at + 2;
  out.opcode = byteAt(bytes, opcodeAt);
  return opcodeAt + 1;
};

/** SDM Vol. 2A, 2.7.1: P0 is RXBR'0mmm, P1 is Wvvvv1pp, P2 is zL'LbV'aaa. */
const afterEvex = (bytes: Uint8Array, at: number, out: Instruction): number => {
  const p0 = byteAt(bytes, at);
  const p1 = byteAt(bytes, at + 1);
  const p2 = byteAt(bytes, at + 2);
  out.map = mapAt(evexMaps, p0 & 7);
  if (out.map < 0 || (p0 & 8) !== 0 || (p1 & 4) === 0) return 0;
  out.rex = ((p1 >> 4) & 8) | ((p0 >> 5) ^ 7);
  out.vvvv = (~p1 >> 3) & 15;
  out.pp = p1 & 3;
  out.opcode = byteAt(bytes, at + 3);
  // L'L = 3 is a length only where it is a rounding mode: EVEX.b with a register operand.
  const isRounding = (p2 & 0x10) !== 0 && byteAt(bytes, at + 4) >= 0xc0;
  out.vectorLength = isRounding ? 2 : (p2 >> 5) & 3;
  if (out.vectorLength === 3) return 0;
  // Zeroing needs a mask register.
  if ((p2 & 0x80) !== 0 && (p2 & 7) === 0) return 0;
  return at + 4;
};

const finish = (
  bytes: Uint8Array,
  start: number,
  opcodeEnd: number,
  limit: number,
  out: Instruction,
): number => {
  let word = wordAt(attributes, attributeIndex(out.map, out.pp, out.opcode));
  let at = opcodeEnd;
  out.modrm = -1;
  out.sib = -1;
  out.displacementBytes = 0;
  if ((word & attribute.modrm) !== 0) {
    const modrm = byteAt(bytes, at);
    if ((word & attribute.group) !== 0) {
      const group = (word >> attribute.groupShift) & attribute.groupMask;
      word = wordAt(groupAttributes, (group << 8) | modrm);
    }
    out.modrm = modrm;
    const shape = (word & attribute.modIgnored) !== 0 ? 0 : (modrmShape[modrm] ?? 0);
    const isMemory = modrm < 0xc0 && (word & attribute.modIgnored) === 0;
    if ((word & (isMemory ? attribute.memory : attribute.register)) === 0) return 0;
    at = afterModrm(bytes, start, at + 1, shape, out);
  }
  if ((word & attribute.valid) === 0) return 0;
  if (!prefixesFit(word, out)) return 0;
  const follows = bytesThatFollow(word, out);
  out.word = word;
  out.immediateOffset = at - start;
  out.immediateBytes = follows;
  if ((word & attribute.followsMask) === attribute.followsAddress) {
    out.displacementOffset = at - start;
    out.displacementBytes = follows;
    out.immediateBytes = 0;
  }
  at += follows;
  if (at > limit) return 0;
  out.length = at - start;
  return out.length;
};

const afterModrm = (
  bytes: Uint8Array,
  start: number,
  afterByte: number,
  shape: number,
  out: Instruction,
): number => {
  let at = afterByte;
  let displacement = shape & 7;
  if ((shape & sibFollows) !== 0) {
    const sib = byteAt(bytes, at++);
    out.sib = sib;
    if ((sib & 7) === 5 && out.modrm < 0x40) displacement = 4;
  }
  out.displacementOffset = at - start;
  out.displacementBytes = displacement;
  return at + displacement;
};

const vexRules =
  attribute.not0L |
  attribute.not1L |
  attribute.not0W |
  attribute.not1W |
  attribute.noVvvv |
  attribute.needsSib;

/** LOCK, VEX.L, VEX.W and VEX.vvvv against what the instruction allows. */
const prefixesFit = (word: number, out: Instruction): boolean => {
  if ((out.prefixes & prefixBit.lock) !== 0) {
    const mayLock = (word & attribute.lockable) !== 0 && out.modrm >= 0 && out.modrm < 0xc0;
    if (!mayLock) return false;
  }
  if ((word & attribute.distance) !== 0 && (word & attribute.followsMask) === 4) {
    // Intel ignores 66 before a near branch, AMD cuts distance and target to 16 bits.
    if ((out.prefixes & prefixBit.operandSize) !== 0 && (out.rex & 8) === 0) return false;
  }
  if ((word & vexRules) === 0) return true;
  const notL = out.vectorLength === 0 ? attribute.not0L : attribute.not1L;
  const notW = (out.rex & 8) === 0 ? attribute.not0W : attribute.not1W;
  if ((word & (notL | notW)) !== 0) return false;
  if ((word & attribute.needsSib) !== 0 && out.sib < 0) return false;
  return (word & attribute.noVvvv) === 0 || out.vvvv === 0;
};

const bytesThatFollow = (word: number, out: Instruction): number => {
  const follows = word & attribute.followsMask;
  if (follows < attribute.followsZ) return follows;
  if (follows === attribute.followsAddress) {
    return (out.prefixes & prefixBit.addressSize) === 0 ? 8 : 4;
  }
  if ((out.rex & 8) !== 0) return follows === attribute.followsV ? 8 : 4;
  return (out.prefixes & prefixBit.operandSize) === 0 ? 4 : 2;
};

/** AMD APM Vol. 3, 1.2.4: 0F 0F ModRM [SIB] [displacement] suffix. */
const finishThreeDNow = (
  bytes: Uint8Array,
  start: number,
  afterOpcode: number,
  limit: number,
  out: Instruction,
): number => {
  out.sib = -1;
  out.modrm = byteAt(bytes, afterOpcode);
  const at = afterModrm(bytes, start, afterOpcode + 1, modrmShape[out.modrm] ?? 0, out);
  if (at >= limit || (out.prefixes & prefixBit.lock) !== 0) return 0;
  out.opcode = byteAt(bytes, at);
  out.word = attribute.valid | attribute.modrm | attribute.memory | attribute.register | 1;
  out.immediateOffset = at - start;
  out.immediateBytes = 1;
  if ((isThreeDNow[out.opcode] ?? 0) === 0) return 0;
  out.length = at + 1 - start;
  return out.length;
};
