/** Values by which an observation counts calls apart, and which of them has which row. */
import { ensure } from "../base/assert.ts";
import type { CountedValue } from "../ftrace/ops.ts";
import type { ValueSpec, ValueTypeName } from "../ftrace/value-spec.ts";
import { MappedFile } from "../os/mapped-file.ts";
import { keysBytes, rowsPerTable, valueTables, zeroRow } from "../ring/value-rows.ts";
import type { Rings } from "./seat.ts";

/** A value of a function by which its calls are counted. */
export type FunctionValue = ValueSpec & {
  readonly site: number;
  readonly function: string;
  /** The place as people write it: `arg1`, `ret`. */
  readonly word: string;
};

/** Which calls of a function these are. */
export type CountedBy = {
  readonly function: string;
  /** `arg1`, `ret`. */
  readonly place: string;
  /** Absent: all values for which there was no row left. */
  readonly value?: string;
};

type Placed = FunctionValue & Pick<CountedValue, "table"> & { readonly keys: MappedFile };

export class ValueTables {
  readonly values: readonly Placed[];

  constructor(
    { arenaFd, shape }: Rings,
    values: readonly FunctionValue[],
    hasThreadFilter: boolean,
  ) {
    const tables = valueTables(shape, values.length, hasThreadFilter);
    this.values = values.map((one, index) => {
      const table = ensure(tables[index], "a table for each value");
      return { ...one, table, keys: new MappedFile(arenaFd, table.keys, keysBytes) };
    });
  }

  /** What a row stands for; undefined where it is a function's. */
  at(row: number): { readonly name: string; readonly by: CountedBy } | undefined {
    const isOf = ({ table }: Placed): boolean =>
      row >= table.firstRow && row < table.firstRow + rowsPerTable;
    const found = this.values.find(isOf);
    if (found === undefined) return undefined;
    const { function: of, word: place, type, keys, table } = found;
    const index = row - table.firstRow;
    if (index > zeroRow) {
      return { name: `${of}(${place} = other)`, by: { function: of, place } };
    }
    const key = index === zeroRow ? 0n : (new BigUint64Array(keys.buffer)[index] ?? 0n);
    const value = formatKey(key, type);
    return { name: `${of}(${place} = ${value})`, by: { function: of, place, value } };
  }

  [Symbol.dispose](): void {
    for (const { keys } of this.values) keys[Symbol.dispose]();
  }
}

/** A value as `record` shows it. */
function formatKey(key: bigint, type: ValueTypeName): string {
  if (type.startsWith("i")) return String(BigInt.asIntN(64, key));
  if (type === "bool") return String(key !== 0n);
  return type === "pointer" ? `0x${key.toString(16)}` : String(key);
}
