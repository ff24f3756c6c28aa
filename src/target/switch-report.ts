/**
 * What whoever carries out a change has last seen of the threads that hold it up, for others to
 * read: they must not look for themselves, because a thread can have one tracer at a time.
 */
import { reportBytes, reportOffset } from "../codegen/x86-64/version-switch.ts";
import {
  asArray,
  asBoolean,
  asCount,
  asObject,
  asString,
  asStrings,
  type Json,
  parseJson,
} from "../trace/json.ts";
import type { TargetMemory } from "./process.ts";
import type { HeldUp } from "./stack-walk.ts";

const lengthBytes = 4;

const lengthOf = (length: number): Uint8Array => new Uint8Array(Uint32Array.of(length).buffer);

/** As many threads as there is room for. */
function encode(heldUp: readonly HeldUp[]): Uint8Array {
  for (let count = heldUp.length; ; count--) {
    const bytes = new TextEncoder().encode(JSON.stringify(heldUp.slice(0, count)));
    if (bytes.length <= reportBytes - lengthBytes) return bytes;
  }
}

/** Writes the report; a reader finds the old one, none, or the new one. */
export function writeReport(memory: TargetMemory, base: bigint, heldUp: readonly HeldUp[]): void {
  const at = base + BigInt(reportOffset);
  const bytes = encode(heldUp);
  memory.write(at, lengthOf(0));
  memory.write(at + BigInt(lengthBytes), bytes);
  memory.write(at, lengthOf(bytes.length));
}

/** The threads of the last report. */
export function readReport(memory: TargetMemory, base: bigint): readonly HeldUp[] {
  const bytes = memory.read(base + BigInt(reportOffset), reportBytes);
  const length = new DataView(bytes.buffer).getUint32(0, true);
  if (length > reportBytes - lengthBytes) return [];
  const text = new TextDecoder().decode(bytes.subarray(lengthBytes, lengthBytes + length));
  return (asArray(parseJson(text)) ?? []).flatMap(decode);
}

function decode(json: Json): HeldUp | readonly [] {
  const one = asObject(json);
  const tid = asCount(one?.["tid"]);
  const stack = asStrings(one?.["stack"]);
  if (tid === undefined || stack === undefined) return [];
  return {
    tid,
    name: asString(one?.["name"]) ?? "",
    stack,
    inside: asString(one?.["inside"]) ?? "",
    isGuess: asBoolean(one?.["isGuess"]) ?? false,
  };
}
