/** Leaving a process: how that went, and what is left where nobody can be held. */
import type { Agent } from "./agent.ts";
import type { TextWriter } from "./text-writer.ts";

export type RemoveResult = {
  readonly pauseMs: number;
  /** Why some memory had to stay mapped; absent when all of it is gone. */
  readonly left?: string;
};

/**
 * Where threads can't be held to see that they are out of the thunks: these stay, and what they
 * use. No function leads to them any more, and the agent is gone.
 */
export function leaveThere(writer: TextWriter, agent: Agent | undefined): RemoveResult {
  if (!writer.isRestored) {
    return { pauseMs: 0, left: "functions could not be put back while the program runs" };
  }
  agent?.quit();
  return { pauseMs: 0, left: "threads of an emulated program may be in generated code" };
}
