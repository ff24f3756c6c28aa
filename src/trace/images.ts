/**
 * The functions of a trace that follows execs: each program image numbers its sites from 0, and the
 * same function of the same file is one function, however many processes it ran in.
 */
import type { TracedFunction } from "./functions.ts";

/** Functions of all images, each with a site of its own. */
export type JoinedImages = {
  readonly functions: readonly TracedFunction[];
  /** By image, for those behind the first: sites by the numbers that its events carry. */
  readonly sites: ReadonlyMap<number, Int32Array>;
};

/** Gives the functions of all images sites that tell them apart; the first image keeps its own. */
export function joinImages(lines: readonly TracedFunction[]): JoinedImages {
  const images = [...new Set(lines.map(imageOf))].filter((image) => image > 0);
  const sites = new Map<number, Int32Array>();
  if (images.length === 0) return { functions: lines, sites };
  const first = lines.filter((one) => imageOf(one) === 0);
  const functions = new Map(first.map((one) => [one.site, one]));
  const known = new Map(first.map((one) => [identity(one), one.site]));
  let next = siteEnd(first);
  for (const image of images.sort((a, b) => a - b)) {
    const own = lines.filter((one) => imageOf(one) === image);
    // Those that nothing is said of have one site together.
    const numbers = new Int32Array(siteEnd(own)).fill(next++);
    for (const { image: _, ...one } of own) {
      const key = identity({ ...one, image });
      const site = known.get(key) ?? next++;
      known.set(key, site);
      numbers[one.site] = site;
      // A function that is known has been looked up in the sources already.
      if (one.line !== undefined || !functions.has(site)) functions.set(site, { ...one, site });
    }
    sites.set(image, numbers);
  }
  return { functions: [...functions.values()], sites };
}

const imageOf = ({ image = 0 }: TracedFunction): number => image;

const siteEnd = (functions: readonly TracedFunction[]): number =>
  functions.reduce((end, { site }) => Math.max(end, site + 1), 0);

/** What the same functions have in common: their file and their place in it. */
const identity = ({ module, linkAddress, name, site, image }: TracedFunction): string =>
  linkAddress === undefined ? `${image} ${site}` : `${module} ${linkAddress} ${name}`;
