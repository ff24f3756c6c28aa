/** A set of sites that is asked about all of a hundred thousand of them: a byte for each. */

/** How much room it takes at a time, in sites. */
const roomMin = 64;

export class SiteSet implements Iterable<number> {
  /** 1 where the site is in it; sites behind the end are not. */
  #marks = new Uint8Array(0);

  constructor(sites: Iterable<number> = []) {
    for (const site of sites) this.add(site);
  }

  has(site: number): boolean {
    return site < this.#marks.length && this.#marks[site] === 1;
  }

  add(site: number): void {
    if (site >= this.#marks.length) {
      const larger = new Uint8Array(Math.max(roomMin, site * 2));
      larger.set(this.#marks);
      this.#marks = larger;
    }
    this.#marks[site] = 1;
  }

  delete(site: number): void {
    if (site < this.#marks.length) this.#marks[site] = 0;
  }

  /** Ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (const [site, mark] of this.#marks.entries()) if (mark === 1) yield site;
  }
}
