/**
 * Functions as the unwinder's table has them: where each begins, how long it is, and whether it is
 * entered by a call. The table is mapped and so survives `strip`.
 *
 * A description whose first rule is not that of the CIE, before any instruction, belongs to code
 * that is not entered by a call: a part that the compiler split off and jumps to, a signal
 * trampoline, a program's entry point.
 *
 * Source: Linux Standard Base Core, "Exception Frames"; DWARF 5, section 6.4.2.
 */
import { FormatError } from "../base/cursor.ts";
import { segmentType } from "./constants.ts";
import { bytesAtAddr, type ElfFile, findSection } from "./elf-file.ts";
import { readWord } from "./pointers.ts";

/** Ascending by address; index i is the same function in every column. */
export type FrameEntries = {
  readonly count: number;
  /** Link addresses. */
  readonly starts: Float64Array;
  /** Bytes. */
  readonly sizes: Float64Array;
  /** 1 where the code is entered by a call: the return address is on top of the stack. */
  readonly called: Uint8Array;
};

/** Pointer formats (DW_EH_PE, low four bits), and the one base that descriptions use. */
const pointerFormat = { absolute: 0, udata4: 3, udata8: 4, sdata4: 11, sdata8: 12 } as const;
const pcRelative = 0x10;
const ehFramePtrAt = 4;
const pcRelativeSdata4 = 0x1b;

const cfa = { nop: 0x00, advanceLoc1: 0x02, advanceLoc4: 0x04, gnuArgsSize: 0x2e } as const;
/**
 * How every function that is called begins. x86-64: DW_CFA_def_cfa rsp, 8; DW_CFA_offset return
 * address, 1. AArch64: DW_CFA_def_cfa sp, 0, with the return address in its register.
 */
const callRules: readonly (readonly number[])[] = [
  [0x0c, 0x07, 0x08, 0x90, 0x01],
  [0x0c, 0x1f, 0x00],
];

/** What a CIE says for the descriptions that refer to it. */
export type Common = {
  readonly encoding: number;
  readonly codeAlign: number;
  readonly dataAlign: number;
  /** The frames are those of signals: their callers were interrupted. */
  readonly isSignal: boolean;
  /** Where its own rules begin and end. */
  readonly program: number;
  readonly end: number;
  /** Its rules are those after a call, and it is not a signal's. */
  readonly called: boolean;
  readonly hasAugmentation: boolean;
};

/** Reads the bytes of `.eh_frame`: pointers in its encodings, and LEB128 numbers. */
export class Frames {
  readonly view: DataView;
  readonly addr: number;
  #at = 0;

  constructor(bytes: Uint8Array, addr: number) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.addr = addr;
  }

  seek(at: number): this {
    this.#at = at;
    return this;
  }

  get at(): number {
    return this.#at;
  }

  u8(): number {
    return this.view.getUint8(this.#at++);
  }

  /** An unsigned LEB128 number; what is beyond 2^53 is not exact and not needed. */
  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  /** A signed LEB128 number. */
  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) return (byte & 64) === 0 ? value : value - scale * 128;
    }
  }

  /** A pointer in `encoding`; undefined in one that nobody uses here. */
  pointer(encoding: number): number | undefined {
    const base = (encoding & 0x70) === pcRelative ? this.addr + this.#at : 0;
    const { at, view } = { at: this.#at, view: this.view };
    switch (encoding & 0x0f) {
      case pointerFormat.absolute:
      case pointerFormat.udata8:
        this.#at += 8;
        return base + readWord(view, at);
      case pointerFormat.udata4:
        this.#at += 4;
        return base + view.getUint32(at, true);
      case pointerFormat.sdata4:
        this.#at += 4;
        return base + view.getInt32(at, true);
      case pointerFormat.sdata8:
        this.#at += 8;
        return base + Number(view.getBigInt64(at, true));
      default:
        return undefined;
    }
  }
}

/** Reads the CIE at `at`. */
export function readCommon(frames: Frames, at: number): Common {
  const end = at + 4 + frames.view.getUint32(at, true);
  frames.seek(at + 8);
  const version = frames.u8();
  let augmentation = "";
  for (let byte = frames.u8(); byte !== 0; byte = frames.u8()) {
    augmentation += String.fromCharCode(byte);
  }
  const codeAlign = frames.uleb();
  const dataAlign = frames.sleb();
  if (version === 1) frames.u8();
  else frames.uleb();
  const hasAugmentation = augmentation.startsWith("z");
  let encoding: number = pointerFormat.absolute;
  if (hasAugmentation) {
    const length = frames.uleb();
    const rules = frames.at + length;
    for (const letter of augmentation.slice(1)) {
      if (letter === "R") encoding = frames.u8();
      else if (letter === "L") frames.u8();
      else if (letter === "P") frames.pointer(frames.u8());
    }
    frames.seek(rules);
  }
  const program = frames.at;
  const isSignal = augmentation.includes("S");
  const called = !isSignal && callRules.some((rule) => beginsWith(frames.seek(program), rule, end));
  return { encoding, codeAlign, dataAlign, isSignal, program, end, called, hasAugmentation };
}

/** Whether the rules in [`frames.at`, `end`) are `rule` and nothing else. */
function beginsWith(frames: Frames, rule: readonly number[], end: number): boolean {
  if (frames.at + rule.length > end) return false;
  return rule.every((byte) => frames.u8() === byte) && beginsUnchanged(frames, end);
}

/** Whether the rules in [`frames.at`, `end`) begin with an instruction's, not with a change. */
function beginsUnchanged(frames: Frames, end: number): boolean {
  while (frames.at < end) {
    const opcode = frames.u8();
    if (opcode === cfa.nop) continue;
    if (opcode === cfa.gnuArgsSize) frames.uleb();
    else return opcode >> 6 === 1 || (opcode >= cfa.advanceLoc1 && opcode <= cfa.advanceLoc4);
  }
  return true;
}

type Found = { readonly start: number; readonly size: number; readonly called: boolean };

function readEntries(frames: Frames): Found[] {
  const found: Found[] = [];
  const commons = new Map<number, Common>();
  const { view } = frames;
  for (let at = 0; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at, true);
    // The end mark; or a 64-bit length, which no linker writes here.
    if (length === 0 || length === 0xffffffff) break;
    const distance = view.getUint32(at + 4, true);
    if (distance !== 0) {
      const cie = at + 4 - distance;
      const common = commons.get(cie) ?? readCommon(frames, cie);
      commons.set(cie, common);
      const start = frames.seek(at + 8).pointer(common.encoding);
      const size = frames.pointer(common.encoding & 0x0f);
      if (start !== undefined && size !== undefined) {
        if (common.hasAugmentation) {
          const skipped = frames.uleb();
          frames.seek(frames.at + skipped);
        }
        const called = common.called && beginsUnchanged(frames, at + 4 + length);
        found.push({ start, size, called });
      }
    }
    at += 4 + length;
  }
  return found;
}

/** The bytes of `.eh_frame`, by its section or by the table's header. */
export function findFrames(elf: ElfFile): Frames | undefined {
  const section = findSection(elf, ".eh_frame");
  if (section !== undefined) {
    return new Frames(bytesAtAddr(elf, section.addr, section.size), section.addr);
  }
  const segment = elf.segments.find((s) => s.type === segmentType.gnuEhFrame);
  if (segment === undefined) return undefined;
  const header = new Frames(bytesAtAddr(elf, segment.addr, segment.fileSize), segment.addr);
  if (header.view.byteLength < 8 || header.seek(1).u8() !== pcRelativeSdata4) return undefined;
  const addr = header.seek(ehFramePtrAt).pointer(pcRelativeSdata4) ?? 0;
  return new Frames(bytesAtAddr(elf, addr, Number.MAX_SAFE_INTEGER), addr);
}

/** The linker's index of descriptions, in `.eh_frame_hdr`: pairs of addresses, ascending. */
export type FrameIndex = {
  /** Link address of the last description whose code begins at `addr` or before; -1: none. */
  readonly descriptionOf: (addr: number) => number;
};

/** Relative to the index itself, 4 bytes: how every linker writes it. */
const indexEncoding = 0x3b;
const countUdata4 = 0x03;
const indexHeaderBytes = 12;

/** The index of `elf`; undefined without one, or in an encoding that nobody uses. */
export function findFrameIndex(elf: ElfFile): FrameIndex | undefined {
  const segment = elf.segments.find((s) => s.type === segmentType.gnuEhFrame);
  if (segment === undefined) return undefined;
  const { addr } = segment;
  const bytes = bytesAtAddr(elf, addr, segment.fileSize);
  if (bytes.length < indexHeaderBytes) return undefined;
  if (bytes[2] !== countUdata4 || bytes[3] !== indexEncoding) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stated = view.getUint32(indexHeaderBytes - 4, true);
  const count = Math.min(stated, Math.floor((bytes.length - indexHeaderBytes) / 8));
  const start = (index: number): number => addr + view.getInt32(indexHeaderBytes + index * 8, true);
  const descriptionOf = (wanted: number): number => {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (start(middle) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : addr + view.getInt32(indexHeaderBytes + (low - 1) * 8 + 4, true);
  };
  return { descriptionOf };
}

/**
 * The functions of `elf` by their frame descriptions; none when it has none.
 * @throws FormatError where a description is cut off.
 */
export function frameEntries(elf: ElfFile): FrameEntries {
  const frames = elf.debugOnly ? undefined : findFrames(elf);
  let found: Found[] = [];
  try {
    if (frames !== undefined) found = readEntries(frames);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FormatError(".eh_frame", 0, "a frame description is cut off");
  }
  found.sort((a, b) => a.start - b.start);
  return {
    count: found.length,
    starts: Float64Array.from(found, ({ start }) => start),
    sizes: Float64Array.from(found, ({ size }) => size),
    called: Uint8Array.from(found, ({ called }) => (called ? 1 : 0)),
  };
}
