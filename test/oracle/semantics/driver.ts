/** What the semantics test needs to know about an ISA to run instructions on a real machine. */
import type { CodeAddr } from "../../../src/base/brand.ts";
import type { Instruction, Isa } from "../../../src/isa/isa.ts";
import type { Random } from "../random.ts";

/** Values of registers by the names that effects use. */
export type State = Map<string, bigint>;

/**
 * Writes the program. A trial's *block* holds the state (`stateBytes`), then 16 bytes whose first
 * word is the address of the window, then the copy of the window.
 */
export type CodeBuilder = {
  readonly here: () => CodeAddr;
  readonly bytes: (bytes: Uint8Array) => void;
  /** A place to jump to, now or later. */
  readonly place: () => { readonly bind: () => void; readonly jump: () => void };
  /** Loads every register from the block at `block`; at last `base` holds the block's address. */
  readonly loadState: (block: bigint, base: string) => void;
  /** Puts the address of its own beginning into `link`; always the same length. */
  readonly noteAddress: (link: string) => void;
  /** Stores every register to the block that `base` names. Others are free afterwards. */
  readonly storeState: (base: string) => void;
  /** Copies `sizeBytes` (a multiple of 16) from the window's address to the block. */
  readonly copyWindow: (base: string, sizeBytes: number) => void;
  /** Writes the areas to standard output, then ends the process. */
  readonly finish: (areas: readonly Area[]) => void;
  readonly code: () => Uint8Array;
};

export type Area = { readonly address: bigint; readonly sizeBytes: number };

/** Instructions to be tried, before their place is known. */
export type Trial<I extends Instruction> = {
  /** Carried out in a row; only the last may jump. */
  readonly insns: readonly I[];
  /** Registers that have to hold the address of a landing pad. */
  readonly targets?: readonly string[];
  /** Registers whose value afterwards the manual leaves open. */
  readonly open?: readonly string[];
};

export type Driver<I extends Instruction> = {
  readonly isa: Isa<I>;
  /** Command that runs the ELF file: empty for the machine itself. */
  readonly emulator: readonly string[];
  readonly elfFlags: number;
  /** Bytes of a landing pad: `noteAddress` and a jump. */
  readonly padBytes: number;
  /** Registers that may serve as `base` or `link` where the instruction leaves them alone. */
  readonly free: readonly string[];
  /** Bytes of the state in a block: a multiple of 16. */
  readonly stateBytes: number;
  readonly pack: (state: State) => Uint8Array;
  readonly unpack: (bytes: Uint8Array) => State;
  /** A random state that the machine can hold: every register that is compared. */
  readonly randomState: (random: Random) => State;
  readonly build: (origin: CodeAddr) => CodeBuilder;
  readonly encode: (insn: I) => Uint8Array;
};
