/** Final states: reading them off an execution, and putting propositions to them. */

import type { Image } from "./image.ts";
import type { RegisterName } from "./isa.ts";
import { placeName } from "./parse.ts";
import {
  type FaultText,
  type LitmusTest,
  type Place,
  type Proposition,
  refusal,
  type ValueText,
} from "./test-file.ts";
import type { Fault, Trace } from "./trace.ts";

/** The end of an execution, as far as anybody asks. */
export type FinalState = {
  readonly traces: readonly Trace[];
  /** `count` bytes of memory at the end. */
  readonly memoryAt: (address: bigint, bytes: number) => bigint;
};

/** Places that a proposition speaks of, each once, in its order. */
export function placesIn(proposition: Proposition): readonly Place[] {
  switch (proposition.op) {
    case "and":
    case "or":
    case "implies":
      return [...placesIn(proposition.a), ...placesIn(proposition.b)];
    case "not":
      return placesIn(proposition.a);
    case "equals":
      return [proposition.place];
    case "same":
      return [proposition.a, proposition.b];
    default:
      return [];
  }
}

/** Variables of the condition that nothing else in the test names: typing errors, mostly. */
export function strangersIn(test: LitmusTest): readonly string[] {
  const known = new Set(test.aliases.flatMap(({ name, target }) => [name, target]));
  for (const { place, values } of test.init) {
    if (place.kind === "memory") known.add(place.name);
    for (const value of values) if (value.kind === "symbol") known.add(value.name);
  }
  for (const { text = "", labels } of test.columns.flatMap(({ code }) => code)) {
    for (const word of [...labels, ...(text.match(/[A-Za-z_.][\w.]*/g) ?? [])]) known.add(word);
  }
  const named = placesIn(test.condition).flatMap((place) =>
    place.kind === "memory" && !known.has(place.name) ? [place.name] : [],
  );
  return [...new Set(named)];
}

/** Faults that a proposition speaks of. */
export function faultsIn(proposition: Proposition): readonly FaultText[] {
  switch (proposition.op) {
    case "and":
    case "or":
    case "implies":
      return [...faultsIn(proposition.a), ...faultsIn(proposition.b)];
    case "not":
      return faultsIn(proposition.a);
    case "fault":
      return [proposition.fault];
    default:
      return [];
  }
}

/** Refuses registers, threads, variables and faults that the test does not have. */
export function checkPlace(image: Image, place: Place, line: number): void {
  if (place.kind === "memory") image.variable(place.name, line);
  else readRegister(image, place, undefined, line);
}

const knownFaults: ReadonlySet<string> = new Set([
  ...["UndefinedInstruction", "SupervisorCall", "Breakpoint", "MMU", "Translation"],
]);

function checkFault(image: Image, { thread, type, label }: FaultText, line: number): void {
  const refuse = (why: string): never => {
    throw refusal(image.test.source, line, why);
  };
  if (thread >= image.threads) refuse(`there is no thread ${thread}`);
  if (label !== undefined && image.labelAt(thread, label) === undefined) {
    refuse(`thread ${thread} has no label ${label}`);
  }
  const isKnown = (type?.split(":") ?? []).every((part) => knownFaults.has(part));
  if (!isKnown) refuse(`faults ${type} are not modelled`);
}

/**
 * The same for all that a proposition names. Also makes the instructions in it known by their
 * names.
 */
export function checkNames(image: Image, proposition: Proposition): void {
  switch (proposition.op) {
    case "and":
    case "or":
    case "implies":
      checkNames(image, proposition.a);
      checkNames(image, proposition.b);
      return;
    case "not":
      checkNames(image, proposition.a);
      return;
    case "equals":
      checkPlace(image, proposition.place, proposition.line);
      image.valueOf(proposition.value, proposition.line);
      return;
    case "same":
      checkPlace(image, proposition.a, proposition.line);
      checkPlace(image, proposition.b, proposition.line);
      return;
    case "fault":
      checkFault(image, proposition.fault, proposition.line);
      return;
    default:
  }
}

const valueIn = (trace: Trace | undefined, { name, bits }: RegisterName): bigint =>
  BigInt.asUintN(bits, trace?.registers.get(name) ?? 0n);

function readRegister(
  image: Image,
  place: Place & { kind: "register" },
  state: FinalState | undefined,
  line: number,
): bigint {
  const found = image.isa.register(place.register);
  if (found === undefined || place.thread >= image.threads) {
    throw refusal(image.test.source, line, `there is no register ${placeName(place)}`);
  }
  return valueIn(state?.traces[place.thread], found);
}

/** What stands in a place at the end. */
export function readPlace(image: Image, place: Place, state: FinalState): bigint {
  if (place.kind === "register") return readRegister(image, place, state, 1);
  const { address, bytes } = cellOf(image, place);
  return state.memoryAt(address, bytes);
}

/** Address and size of a place in memory. */
export function cellOf(
  image: Image,
  place: Place & { kind: "memory" },
): { address: bigint; bytes: number } {
  const { address, strideBytes, bytes } = image.variable(place.name, 1);
  const element = place.index > 0 ? strideBytes : bytes;
  return { address: address + BigInt(place.index * strideBytes), bytes: element };
}

/** Equal, where a negative number means the place's width: -1 is 0xffffffff in 32 bits. */
function isEqual(actual: bigint, value: ValueText, expected: bigint): boolean {
  if (actual === expected) return true;
  if (value.kind !== "number" || value.value >= 0n) return false;
  return [8, 16, 32].some((bits) => actual === BigInt.asUintN(bits, value.value));
}

const isFaultOf = (image: Image, thread: number, text: FaultText, fault: Fault): boolean => {
  if (text.label !== undefined && image.labelAt(thread, text.label) !== fault.pc) return false;
  if (text.type !== undefined && !`:${fault.type}:`.includes(`:${text.type}:`)) return false;
  if (text.place === undefined) return true;
  return fault.address !== undefined && image.nameOf(fault.address) === text.place;
};

/** Whether a proposition holds in a final state. */
export function holds(image: Image, proposition: Proposition, state: FinalState): boolean {
  const ask = (p: Proposition): boolean => holds(image, p, state);
  switch (proposition.op) {
    case "true":
      return true;
    case "false":
      return false;
    case "and":
      return ask(proposition.a) && ask(proposition.b);
    case "or":
      return ask(proposition.a) || ask(proposition.b);
    case "implies":
      return !ask(proposition.a) || ask(proposition.b);
    case "not":
      return !ask(proposition.a);
    case "equals": {
      const expected = image.valueOf(proposition.value, proposition.line);
      return isEqual(readPlace(image, proposition.place, state), proposition.value, expected);
    }
    case "same":
      return readPlace(image, proposition.a, state) === readPlace(image, proposition.b, state);
    case "fault": {
      const { thread } = proposition.fault;
      const faults = state.traces[thread]?.faults ?? [];
      return faults.some((fault) => isFaultOf(image, thread, proposition.fault, fault));
    }
    default:
      return proposition satisfies never;
  }
}

const faultsOf = (image: Image, { thread, faults }: Trace): readonly string[] =>
  faults.map(
    ({ pc, type }) => `Fault(${image.nameOf(pc).replace(/^0x.*|^\d+$/, `P${thread}`)},${type});`,
  );

/** What a final state shows of one trace. */
export function describeEnd(
  image: Image,
  places: readonly Place[],
  withFaults: boolean,
  trace: Trace,
): string {
  const values = places.flatMap((place) => {
    if (place.kind !== "register" || place.thread !== trace.thread) return [];
    const found = image.isa.register(place.register);
    return found === undefined ? [] : [valueIn(trace, found)];
  });
  return [...values, ...(withFaults ? faultsOf(image, trace) : [])].join(" ");
}

/** A final state in words: `1:X0=2; x=1;`. */
export function describeState(
  image: Image,
  places: readonly Place[],
  withFaults: boolean,
  state: FinalState,
): string {
  const values = places.map(
    (place) => `${placeName(place)}=${image.nameOf(readPlace(image, place, state))};`,
  );
  const faults = withFaults ? state.traces.flatMap((trace) => faultsOf(image, trace)) : [];
  return [...values, ...faults].join(" ");
}
