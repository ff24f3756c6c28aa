/** The questions that one run of a thread leaves open, and trying all answers. */

/** Answers the questions of one run, and then the next combination of answers. */
export class Choices {
  #answers: { chosen: number; of: number }[] = [];
  #asked = 0;

  choose(of: number): number {
    const at = this.#asked++;
    const known = this.#answers[at];
    if (known !== undefined) return known.chosen;
    this.#answers.push({ chosen: 0, of });
    return 0;
  }

  /** Goes on to the next combination; `false` when all have been tried. */
  advance(): boolean {
    this.#asked = 0;
    for (let last = this.#answers.pop(); last !== undefined; last = this.#answers.pop()) {
      if (last.chosen + 1 >= last.of) continue;
      this.#answers.push({ chosen: last.chosen + 1, of: last.of });
      return true;
    }
    return false;
  }
}

/**
 * The run is not followed: an access that no value fits, a round of a loop that changes nothing, or
 * one more round than is searched.
 */
export class Cut extends Error {
  /** Something may be missed by that. */
  readonly looping: boolean;
  constructor(looping: boolean) {
    super("cut");
    this.looping = looping;
  }
}
