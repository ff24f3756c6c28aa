/**
 * Moves one AArch64 instruction to another place, so that what is written over it can be jumped
 * around: the copy does what the original did, and goes on behind it.
 *
 * Beyond B's reach it jumps through x16, which a function's entry may find changed anyway: a
 * linker's veneer may stand before it (AAPCS64, "Use of IP0 and IP1 by the linker").
 */
import { err, ok, type Result } from "../../base/result.ts";
import { placeUse } from "./place.ts";

const wordBytes = 4;
const linkRegister = 30;
const zeroRegister = 31;
const veneerRegister = 16;
const branchMax = 2 ** 27 - wordBytes;
const branchMin = -(2 ** 27);
const nop = 0xd503_201f;
/** MOVZ and MOVK of an X register, B, BR. */
const opcode = { movz: 0xd280_0000, movk: 0xf280_0000, b: 0x1400_0000, br: 0xd61f_0000 } as const;

/** Puts `value`, an address below 2^53, into an X register. */
function constant(register: number, value: number): readonly number[] {
  const words = [0, 1, 2, 3].flatMap((half) => {
    const part = Math.floor(value / 2 ** (16 * half)) % 2 ** 16;
    if (part === 0 && half > 0) return [];
    const start = half === 0 ? opcode.movz : opcode.movk;
    return [(start | (half << 21) | (part << 5) | register) >>> 0];
  });
  return register === zeroRegister ? [] : words;
}

/** Jumps to `target` from `at`. */
function jump(at: number, target: number): readonly number[] {
  const distance = target - at;
  if (distance >= branchMin && distance <= branchMax) {
    return [(opcode.b | ((distance >> 2) & 0x3ff_ffff)) >>> 0];
  }
  return [...constant(veneerRegister, target), (opcode.br | (veneerRegister << 5)) >>> 0];
}

/** Why an instruction is not moved. */
export type MoveRefusal = "undefined" | "fixed" | "systemCall";

/**
 * The instructions that stand at `to` for `word`, which stands at `at`. A call leaves the return
 * address that the original leaves.
 */
export function moveWord(
  word: number,
  at: number,
  to: number,
): Result<readonly number[], MoveRefusal> {
  const use = placeUse(word, at);
  const next = at + wordBytes;
  const thenNext = (words: readonly number[]): readonly number[] => [
    ...words,
    ...jump(to + words.length * wordBytes, next),
  ];
  switch (use.kind) {
    case "none":
      return ok(thenNext([word]));
    case "prefetch":
      return ok(thenNext([nop]));
    case "address":
      return ok(thenNext(constant(use.register, use.target)));
    case "load": {
      const { register, target, load } = use;
      if (register === zeroRegister) return ok(thenNext([nop]));
      const loaded = (load | (register << 5) | register) >>> 0;
      return ok(thenNext([...constant(register, target), loaded]));
    }
    case "branch": {
      const words = use.links ? constant(linkRegister, next) : [];
      return ok([...words, ...jump(to + words.length * wordBytes, use.target)]);
    }
    case "condition": {
      // Over the next instruction, which goes to the one that is for "no".
      const taken = jump(to + 2 * wordBytes, use.target);
      const no = 2 + taken.length;
      return ok([use.over, ...jumpNear(no - 1), ...taken, ...jump(to + no * wordBytes, next)]);
    }
    default:
      return err(use.kind);
  }
}

/** Jumps over so many words. */
const jumpNear = (words: number): readonly number[] => [(opcode.b | words) >>> 0];
