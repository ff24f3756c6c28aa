/** Values of static probes: what a probe's note says of them, as what is recorded of a function. */
import type { Action, RecordAction } from "../codegen/work.ts";
import type { SdtOperand } from "../elf/sdt-operands.ts";
import {
  integerRegisters,
  type ValueSpec,
  type ValueTypeName,
  valuesMax,
} from "../ftrace/value-spec.ts";

/** Nothing is mapped there, so that this text shows as one that can't be read. */
const nowhere: SdtOperand = {
  bytes: 8,
  type: "unsigned",
  place: { kind: "constant", value: "1" },
};

/**
 * `actions` at a probe with `operands`: records have its values, in their order, those that were
 * asked for as arguments by the types that were asked for.
 */
export function atProbe(
  actions: readonly Action[],
  operands: readonly SdtOperand[],
): readonly Action[] {
  if (operands.length === 0) return actions;
  return actions.map((action) => {
    if (action.kind !== "record") return action;
    const isOf = (other: Action): other is RecordAction =>
      other.kind === "record" && other.instance === action.instance;
    const asked = actions.filter(isOf).flatMap(({ values }) => values?.entry ?? []);
    const entry = operands.slice(0, valuesMax).map((operand, i) => specOf(operand, asked, i + 1));
    return { ...action, values: { entry, exit: [] } };
  });
}

function specOf(operand: SdtOperand, asked: readonly ValueSpec[], number: number): ValueSpec {
  if (operand.place.kind === "unknown") {
    return { place: { kind: "operand", operand: nowhere }, type: "text" };
  }
  const isMeant = ({ place }: ValueSpec): boolean =>
    (place.kind === "argument" && place.index === number) ||
    (place.kind === "floatArgument" && place.index === number) ||
    (place.kind === "stackArgument" && place.index + integerRegisters === number);
  const type = asked.find(isMeant)?.type ?? typeOf(operand);
  return { place: { kind: "operand", operand }, type };
}

function typeOf({ type, bytes }: SdtOperand): ValueTypeName {
  switch (type) {
    case "float":
      return bytes === 4 ? "f32" : "f64";
    case "signed":
      return ({ 1: "i8", 2: "i16", 4: "i32", 8: "i64" } as const)[bytes];
    case "unsigned":
      return ({ 1: "u8", 2: "u16", 4: "u32", 8: "u64" } as const)[bytes];
    default:
      return type satisfies never;
  }
}
