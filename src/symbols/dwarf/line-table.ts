/**
 * Line tables: which source line an address comes from. Source: DWARF 5 section 6.2, DWARF 2 to 4
 * section 6.2 for the older header.
 */
import { readString } from "../../elf/string-table.ts";
import { lowerBound } from "../symbol-table.ts";
import { form, lineContent, lineExtendedOpcode, lineOpcode } from "./constants.ts";
import type { DebugInfo, UnitRoot } from "./debug-info.ts";
import type { DwarfReader, Encoding } from "./reader.ts";

/** A run of code at ascending addresses; its rows are `first` to `end` (exclusive). */
type Sequence = {
  readonly low: number;
  readonly high: number;
  readonly first: number;
  readonly end: number;
};

/** The rows of one line program. */
export type LineTable = {
  /** Ascending by `low`. */
  readonly sequences: readonly Sequence[];
  readonly addrs: Float64Array;
  readonly files: Uint32Array;
  readonly lines: Uint32Array;
  /** Full paths by file number; not every number has one. */
  readonly paths: readonly (string | undefined)[];
};

export type SourceLine = {
  /** Path as the compiler was given it, joined with its directory. */
  readonly file: string;
  /** 1 and up. */
  readonly line: number;
};

const joinPath = (folder: string | undefined, name: string): string =>
  name.startsWith("/") || folder === undefined || folder === "" ? name : `${folder}/${name}`;

/** DWARF 2 to 4: directories and files end with an empty name; files count from 1. */
function readOldPaths(reader: DwarfReader, compDir: string | undefined): (string | undefined)[] {
  const folders: (string | undefined)[] = [compDir];
  for (let name = reader.text(); name !== ""; name = reader.text()) {
    folders.push(joinPath(compDir, name));
  }
  const paths: (string | undefined)[] = [undefined];
  for (let name = reader.text(); name !== ""; name = reader.text()) {
    const folder = reader.uleb();
    reader.uleb();
    reader.uleb();
    paths.push(joinPath(folders[folder], name));
  }
  return paths;
}

type Column = { readonly content: number; readonly form: number };
type Row = { name: string | undefined; folder: number };

/** DWARF 5: a table whose columns are described first. */
function readTable(info: DebugInfo, reader: DwarfReader, root: UnitRoot, encoding: Encoding) {
  const columns: Column[] = [];
  for (let left = reader.u8(); left > 0; left--) {
    columns.push({ content: reader.uleb(), form: reader.uleb() });
  }
  const rows: Row[] = [];
  const count = reader.uleb();
  // Rows can take no bytes at all: a damaged count must not make a billion of them.
  if (count > reader.end - reader.at) reader.fail(`${count} files, cut off`);
  for (let i = 0; i < count; i++) {
    const row: Row = { name: undefined, folder: 0 };
    for (const column of columns) {
      const value = reader.value(column.form, encoding);
      if (column.content === lineContent.directoryIndex) row.folder = value;
      if (column.content !== lineContent.path) continue;
      const inPlace = column.form === form.string;
      row.name = inPlace
        ? readString(reader.bytes, value)
        : info.text(column.form, value, { ...root, unit: { ...root.unit, ...encoding } });
    }
    rows.push(row);
  }
  return rows;
}

function readNewPaths(info: DebugInfo, reader: DwarfReader, root: UnitRoot, encoding: Encoding) {
  const folders: string[] = [];
  for (const { name } of readTable(info, reader, root, encoding)) {
    // Directory 0 is the compilation's own.
    folders.push(joinPath(folders[0], name ?? ""));
  }
  return readTable(info, reader, root, encoding).map(({ name, folder }) =>
    name === undefined ? undefined : joinPath(folders[folder], name),
  );
}

type Header = {
  readonly minInstruction: number;
  readonly lineBase: number;
  readonly lineRange: number;
  /** Operand counts of the standard opcodes; index 0 is unused. */
  readonly operandCounts: readonly number[];
  readonly paths: readonly (string | undefined)[];
};

/** Reads the header and leaves `reader` at the first opcode, ending where the program does. */
function readHeader(info: DebugInfo, reader: DwarfReader, root: UnitRoot): Header {
  const { end, offsetSize } = reader.unitLength();
  reader.end = end;
  const version = reader.u16();
  if (version < 2 || version > 5) reader.fail(`line table version ${version}`);
  const addressSize = version >= 5 ? reader.u8() : root.unit.addressSize;
  if (version >= 5) reader.take(1);
  const headerLength = reader.unsigned(offsetSize);
  const programAt = reader.at + headerLength;
  const minInstruction = reader.u8();
  if (version >= 4) reader.take(1);
  reader.take(1);
  const lineBase = reader.i8();
  const lineRange = reader.u8();
  if (lineRange === 0) reader.fail("a line range of 0");
  const operandCounts = [0];
  for (let left = reader.u8(); left > 1; left--) operandCounts.push(reader.u8());
  const encoding: Encoding = { version, offsetSize, addressSize };
  const paths =
    version >= 5 ? readNewPaths(info, reader, root, encoding) : readOldPaths(reader, root.compDir);
  reader.take(Math.max(0, programAt - reader.at));
  reader.at = programAt;
  return { minInstruction, lineBase, lineRange, operandCounts, paths };
}

/** The registers of the state machine that matter here, and the rows so far. */
class LineProgram {
  readonly #reader: DwarfReader;
  readonly #header: Header;
  readonly addrs: number[] = [];
  readonly files: number[] = [];
  readonly lines: number[] = [];
  readonly sequences: Sequence[] = [];
  #addr = 0;
  #file = 1;
  #line = 1;
  #first = 0;

  constructor(reader: DwarfReader, header: Header) {
    this.#reader = reader;
    this.#header = header;
  }

  run(): void {
    const { operandCounts, lineBase, lineRange, minInstruction } = this.#header;
    const reader = this.#reader;
    const special = operandCounts.length;
    while (reader.at < reader.end) {
      const opcode = reader.u8();
      if (opcode >= special) {
        const adjusted = opcode - special;
        this.#addr += Math.floor(adjusted / lineRange) * minInstruction;
        this.#line += lineBase + (adjusted % lineRange);
        this.#emit();
      } else if (opcode === lineOpcode.extended) {
        this.#runExtended();
      } else {
        this.#runStandard(opcode);
      }
    }
  }

  #runStandard(opcode: number): void {
    const reader = this.#reader;
    const { operandCounts, lineRange, minInstruction } = this.#header;
    switch (opcode) {
      case lineOpcode.copy:
        this.#emit();
        return;
      case lineOpcode.advancePc:
        this.#addr += reader.uleb() * minInstruction;
        return;
      case lineOpcode.advanceLine:
        this.#line += reader.sleb();
        return;
      case lineOpcode.setFile:
        this.#file = reader.uleb();
        return;
      case lineOpcode.constAddPc:
        this.#addr += Math.floor((255 - operandCounts.length) / lineRange) * minInstruction;
        return;
      case lineOpcode.fixedAdvancePc:
        this.#addr += reader.u16();
        return;
      default:
        for (let left = operandCounts[opcode] ?? 0; left > 0; left--) reader.uleb();
    }
  }

  #runExtended(): void {
    const reader = this.#reader;
    const length = reader.uleb();
    const next = reader.at + length;
    const opcode = length === 0 ? 0 : reader.u8();
    if (opcode === lineExtendedOpcode.setAddress) this.#addr = reader.unsigned(length - 1);
    if (opcode === lineExtendedOpcode.endSequence) this.#endSequence();
    reader.take(Math.max(0, next - reader.at));
    reader.at = next;
  }

  #emit(): void {
    this.addrs.push(this.#addr);
    this.files.push(this.#file);
    this.lines.push(Math.max(0, this.#line));
  }

  #endSequence(): void {
    const first = this.#first;
    const end = this.addrs.length;
    const low = this.addrs[first] ?? 0;
    // Linkers leave address 0 where they dropped the code; nothing real is there.
    if (low > 0 && end > first) this.sequences.push({ low, high: this.#addr, first, end });
    this.#first = end;
    this.#addr = 0;
    this.#file = 1;
    this.#line = 1;
  }
}

/** Runs the line program of a unit; undefined when it has none. */
export function readLineTable(info: DebugInfo, root: UnitRoot): LineTable | undefined {
  if (root.lineProgramAt === undefined) return undefined;
  const reader = info.reader(".debug_line", root.lineProgramAt);
  const header = readHeader(info, reader, root);
  const program = new LineProgram(reader, header);
  program.run();
  return {
    sequences: program.sequences.sort((a, b) => a.low - b.low),
    addrs: Float64Array.from(program.addrs),
    files: Uint32Array.from(program.files),
    lines: Uint32Array.from(program.lines),
    paths: header.paths,
  };
}

/** The line that the code at `addr` comes from. O(log n). */
export function findLine(table: LineTable, addr: number): SourceLine | undefined {
  let low = 0;
  let high = table.sequences.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((table.sequences[middle]?.low ?? 0) <= addr) low = middle + 1;
    else high = middle;
  }
  const sequence = table.sequences[low - 1];
  if (sequence === undefined || addr >= sequence.high) return undefined;
  const rows = table.addrs.subarray(sequence.first, sequence.end);
  // Of several rows for one address the last one counts: those before it cover no byte.
  const row = sequence.first + lowerBound(rows, addr + 1) - 1;
  const line = table.lines[row] ?? 0;
  const file = table.paths[table.files[row] ?? 0];
  return file === undefined || line === 0 ? undefined : { file, line };
}
