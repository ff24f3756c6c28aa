import { describe, expect, it } from "vitest";
import { encodeFork, type Fork, parseForks } from "./forks.ts";

describe("forks on disk", () => {
  const forks: readonly Fork[] = [
    { pid: 7, parent: 5, thread: 6, ticks: 2n ** 60n },
    { pid: 8, parent: 5, thread: undefined, ticks: undefined },
    { pid: 9, parent: undefined, thread: undefined, ticks: undefined },
  ];

  it("are read as they were written", () => {
    expect(parseForks(forks.map(encodeFork).join(""))).toEqual(forks);
  });

  it("pass over what is not finished or makes no sense", () => {
    const [first = ""] = forks.map(encodeFork);
    expect(parseForks(`${first}[]\n{"pid":-1}\n{"parent":3}\n${first.slice(0, -5)}`)).toEqual(
      forks.slice(0, 1),
    );
  });
});
