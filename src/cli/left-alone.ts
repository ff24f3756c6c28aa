/** Functions that were asked for and not traced, for summaries. */

type LeftAlone = { readonly refused: readonly string[]; readonly outOfReach: readonly string[] };

const namesMax = 3;

const line = (names: readonly string[], why: string): readonly string[] =>
  names.length === 0
    ? []
    : [`${names.length} functions ${why}: ${names.slice(0, namesMax).join(", ")}`];

/** A line for each reason why functions were left alone. */
export const describeLeftAlone = ({ refused, outOfReach }: LeftAlone): readonly string[] => [
  ...line(refused, "were not as the file has them"),
  ...line(outOfReach, "have no free memory in a branch's reach"),
];
