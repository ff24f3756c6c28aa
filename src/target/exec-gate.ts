/** Brings the gate of execs (`codegen/x86-64/exec-gate.ts`) into a process. */
import { type CodeAddr, codeAddr } from "../base/brand.ts";
import { pageBytes } from "../ring/arena.ts";
import { findRoomNear } from "./address-space.ts";
import type { Arena, Range } from "./bootstrap.ts";
import type { TargetProcess } from "./process.ts";

type Parts = {
  readonly process: TargetProcess;
  readonly arena: Arena;
  /** Maps `bytes` at `start` in the target, readable and executable. */
  readonly map: (start: bigint, bytes: number) => void;
};

/** A function that can be called before an exec, and where its code is. */
export type ExecGate = { readonly address: CodeAddr; readonly range: Range };

/** Brings it in, for a function of the target to be told of it; undefined where there is none. */
export function bringExecGate({ process, arena, map }: Parts): ExecGate | undefined {
  const { backEnd, memory } = process;
  const code = backEnd.execGate?.(arena.at);
  if (code === undefined) return undefined;
  const start = findRoomNear(process.maps(), code.length, arena.at, arena.at, backEnd.branchReach);
  map(start, pageBytes);
  memory.write(start, code);
  return { address: codeAddr(start), range: { start, bytes: BigInt(pageBytes) } };
}
