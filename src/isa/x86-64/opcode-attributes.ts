/**
 * The opcode maps as one array of numbers, so that decoding is a few loads and shifts: the texts of
 * `opcode-map.ts` are read once, when the module is loaded.
 */
import { assert, ensure } from "../../base/assert.ts";
import { type MapName, opcodeMaps } from "./opcode-map.ts";

/** Where control goes after an instruction; an index into `flows` in the attributes. */
export type Flow =
  /** To the next instruction. */
  | "next"
  /** To a target in the instruction, always or on a condition. */
  | "jump"
  | "branch"
  | "call"
  /** To what the stack, a register or memory says. */
  | "return"
  | "indirectJump"
  | "indirectCall"
  /** Another segment, privilege level or mode: far returns and jumps, iret. */
  | "far"
  /** An exception: int3, int1, ud0 to ud2. */
  | "trap"
  /** Into the kernel and back: syscall, sysenter, int. */
  | "system";

export const flows: readonly Flow[] = [
  "next",
  "jump",
  "branch",
  "call",
  "return",
  "indirectJump",
  "indirectCall",
  "far",
  "trap",
  "system",
];

/**
 * Bits of an attribute word.
 *   0-2   what follows ModRM: 0 to 4 bytes; 5 z, 6 v, 7 an address
 *   3     ModRM follows              4     ModRM.mod is ignored
 *   5, 6  memory, register form      7     there is such an instruction
 *   8-11  flow                       12    privileged
 *   13    may be locked              14    the immediate is a distance
 *   15    look further by ModRM      16-24 in this group
 *   25,26 VEX.L must not be 0, 1     27,28 VEX.W must not be 0, 1
 *   29    VEX.vvvv must be 1111        30    the memory operand needs a SIB byte
 */
export const attribute = {
  followsMask: 7,
  followsZ: 5,
  followsV: 6,
  followsAddress: 7,
  modrm: 0x8,
  modIgnored: 0x10,
  memory: 0x20,
  register: 0x40,
  valid: 0x80,
  flowShift: 8,
  flowMask: 15,
  privileged: 0x1000,
  lockable: 0x2000,
  distance: 0x4000,
  group: 0x8000,
  groupShift: 16,
  groupMask: 0x1ff,
  not0L: 0x2000000,
  not1L: 0x4000000,
  not0W: 0x8000000,
  not1W: 0x10000000,
  noVvvv: 0x20000000,
  needsSib: 0x40000000,
} as const;

/** Numbers of the opcode maps, in the order of `opcodeMaps`. */
export const mapNames: readonly MapName[] = opcodeMaps.map(([name]) => name);

/** The number of an opcode map in `attributes`. */
export const mapNumber = (name: MapName): number => mapNames.indexOf(name);

/** Where `attributes` has an opcode; `pp` is 0 without mandatory prefix, 1 66, 2 F3, 3 F2. */
export const attributeIndex = (map: number, pp: number, opcode: number): number =>
  (map << 10) | (pp << 8) | opcode;

/** Attribute words by `attributeIndex`; 0 where there is no such instruction. */
export const attributes: Int32Array = new Int32Array(mapNames.length << 10);

const groupCountMax = 256;
const groupWords = new Int32Array(groupCountMax << 8);
let groupCount = 0;

/** Attribute words of opcodes with the `group` bit, by group number and ModRM byte. */
export const groupAttributes: Int32Array = groupWords;

const flagBits: Readonly<Record<string, number>> = {
  jump: 1 << 8,
  branch: 2 << 8,
  call: 3 << 8,
  return: 4 << 8,
  ijump: 5 << 8,
  icall: 6 << 8,
  far: 7 << 8,
  trap: 8 << 8,
  system: 9 << 8,
  priv: attribute.privileged,
  lock: attribute.lockable,
  L0: attribute.not1L,
  L1: attribute.not0L,
  W0: attribute.not1W,
  W1: attribute.not0W,
  v0: attribute.noVvvv,
};

const modrmBits: Readonly<Record<string, number>> = {
  ".": 0,
  M: attribute.modrm | attribute.memory | attribute.register,
  m: attribute.modrm | attribute.memory,
  s: attribute.modrm | attribute.memory | attribute.needsSib,
  r: attribute.modrm | attribute.register,
  R: attribute.modrm | attribute.register | attribute.modIgnored,
};

const followsBits: Readonly<Record<string, number>> = {
  "": 0,
  b: 1,
  w: 2,
  bb: 2,
  wb: 3,
  d: 4,
  z: attribute.followsZ,
  v: attribute.followsV,
  o: attribute.followsAddress,
  jb: 1 | attribute.distance,
  jz: 4 | attribute.distance,
};

/** Which ModRM bytes a line is about; undefined: all, and no group is needed. */
type Selection = ((modrm: number) => boolean) | undefined;

type Line = {
  readonly first: number;
  readonly last: number;
  readonly selection: Selection;
  readonly cells: readonly { readonly bits: number; readonly mask: number }[];
};

const linePattern =
  /^(\w\w)(?:-(\w\w))?(?:\/(\d)(?:-(\d))?|=(\w\w)(?:-(\w\w))?)? (\S+)((?: \w+)*)$/;

const parseSelection = (match: RegExpExecArray): Selection => {
  const [, , , digit, digitLast = digit, byte, byteLast = byte] = match;
  if (digit !== undefined) {
    return (modrm) => {
      const reg = (modrm >> 3) & 7;
      return reg >= Number(digit) && reg <= Number(digitLast);
    };
  }
  if (byte === undefined) return undefined;
  const first = Number.parseInt(byte, 16);
  const last = Number.parseInt(ensure(byteLast, "defaults to the first"), 16);
  return (modrm) => modrm >= first && modrm <= last;
};

const parseCell = (text: string, flags: number): { bits: number; mask: number } => {
  const [, modrm = "", follows = "", mask = "f"] =
    /^([.MmsrR])([a-z]*)(?::([0-9a-f]))?$/.exec(text) ?? [];
  const modrmPart = modrmBits[modrm];
  const followsPart = followsBits[follows];
  assert(modrmPart !== undefined && followsPart !== undefined, `opcode cell ${text}`);
  const bits = attribute.valid | modrmPart | followsPart | flags;
  return { bits, mask: Number.parseInt(mask, 16) };
};

const parseLine = (text: string): Line => {
  const match = linePattern.exec(text);
  assert(match !== null, `opcode line ${text}`);
  const first = ensure(match[1], "an opcode");
  const flagNames = (match[8] ?? "").trim().split(" ");
  let flags = 0;
  for (const name of flagNames) {
    // A later flow replaces an earlier one: `icall far` is far.
    const bits = name === "" ? 0 : ensure(flagBits[name], `opcode flag ${name}`);
    if ((bits >> attribute.flowShift) & attribute.flowMask) flags &= ~(15 << attribute.flowShift);
    flags |= bits;
  }
  return {
    first: Number.parseInt(first, 16),
    last: Number.parseInt(match[2] ?? first, 16),
    selection: parseSelection(match),
    cells: ensure(match[7], "a cell")
      .split("|")
      .map((cell) => parseCell(cell, flags)),
  };
};

const groupAt = (index: number): number => {
  const word = ensure(attributes[index], "an opcode");
  if ((word & attribute.group) !== 0) return (word >> attribute.groupShift) & attribute.groupMask;
  assert(word === 0, `opcode ${index.toString(16)} is given with and without ModRM`);
  assert(groupCount < groupCountMax, "too many opcode groups");
  const bits = attribute.valid | attribute.modrm | attribute.group;
  attributes[index] = bits | (groupCount << attribute.groupShift);
  return groupCount++;
};

const put = (index: number, selection: Selection, bits: number): void => {
  if (selection === undefined) {
    assert(attributes[index] === 0, `opcode ${index.toString(16)} is given twice`);
    attributes[index] = bits;
    return;
  }
  const group = groupAt(index);
  for (let modrm = 0; modrm < 256; modrm++) {
    const form = modrm < 0xc0 ? attribute.memory : attribute.register;
    if (!selection(modrm) || (bits & form) === 0) continue;
    const at = (group << 8) | modrm;
    assert(groupWords[at] === 0, `opcode ${index.toString(16)}, ModRM ${modrm}: given twice`);
    groupWords[at] = bits;
  }
};

const readMap = (map: number, text: string): void => {
  for (const raw of text.split("\n")) {
    const trimmed = raw.replace(/#.*$/, "").trim();
    if (trimmed === "") continue;
    const { first, last, selection, cells } = parseLine(trimmed);
    for (let opcode = first; opcode <= last; opcode++) {
      for (const { bits, mask } of cells) {
        for (let pp = 0; pp < 4; pp++) {
          // A mask's bits are in the order of the prefixes' numbers: none, 66, F3, F2.
          if ((mask >> pp) & 1) put(attributeIndex(map, pp, opcode), selection, bits);
        }
      }
    }
  }
};

for (const [map, [, text]] of opcodeMaps.entries()) readMap(map, text);
