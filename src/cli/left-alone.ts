/** Functions that were asked for and not traced, for summaries. */
import { plural } from "../index.ts";

type LeftAlone = { readonly refused: readonly string[]; readonly outOfReach: readonly string[] };

const namesMax = 3;

const line = (names: readonly string[], why: string): readonly string[] =>
  names.length === 0
    ? []
    : [
        `left alone: ${plural(names.length, "function")} ${why}: ` +
          names.slice(0, namesMax).join(", "),
      ];

/** A line for each reason why functions were left alone. */
export const describeLeftAlone = ({ refused, outOfReach }: LeftAlone): readonly string[] => [
  ...line(refused, "not as the file has them"),
  ...line(outOfReach, "without free memory in a branch's reach"),
];
