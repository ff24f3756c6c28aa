/**
 * What a trace says of the session that recorded it: `session.json`, written when recording begins
 * and once more when it ends. Where the second half is missing, recording was cut short; what had
 * been recorded up to then is still a whole trace.
 */
import { err, ok, type Result } from "../base/result.ts";
import type { ClockSteps, TraceClock } from "./clock.ts";
import {
  asArray,
  asBigint,
  asBoolean,
  asCount,
  asObject,
  asString,
  asStrings,
  type Json,
  type JsonObject,
  parseJson,
} from "./json.ts";

/** Version of the format on disk, `docs/trace-format.md`; readers refuse a later one. */
export const formatVersion = 1;

/** A file that the target had mapped. */
export type TracedModule = { readonly path: string; readonly buildId?: string | undefined };

/** A program that is recorded. */
export type TracedImage = {
  readonly command: readonly string[];
  readonly pid: number;
  readonly modules: readonly TracedModule[];
};

/** What is known when recording begins, of the first program. */
export type SessionStart = TracedImage & {
  /** Name and version of what recorded: "patchbay 0.1.0". */
  readonly tool: string;
  readonly architecture: string;
  readonly host?: string | undefined;
  readonly clock: TraceClock;
  /** Long events can be in it; absent where nobody has said so. */
  readonly longEvents?: boolean | undefined;
  /** The options of the recording, for people to see; readers don't depend on them. */
  readonly options: JsonObject;
};

/** What is known when it has ended. */
export type SessionEnd = {
  /** Wall clock, nanoseconds since 1970-01-01 UTC. */
  readonly wallNs: bigint;
  /** Why recording ended, in a few words: "detached", "the target exited with status 0". */
  readonly reason: string;
  /** The clock, measured once more over the whole session. */
  readonly clock?: TraceClock | undefined;
  /** Entries and exits of threads that found no ring to write to. */
  readonly ringlessEntries?: number | undefined;
  readonly ringlessExits?: number | undefined;
};

export type Session = SessionStart & {
  /** Programs that were recorded besides, which came by exec: image 1 and those behind it. */
  readonly images?: readonly TracedImage[] | undefined;
  /** 16 bytes; every packet carries them. */
  readonly uuid: Uint8Array;
  /** Absent while recording goes on, and for good where it was cut short. */
  readonly end: SessionEnd | undefined;
};

/** A uuid as people and TSDL write it. */
export function formatUuid(uuid: Uint8Array): string {
  const digits = Array.from(uuid, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The bytes of a uuid, or `undefined` where the text is none. */
export function parseUuid(text: string): Uint8Array | undefined {
  const digits = text.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: 16 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

/** The text of `session.json`. */
export function encodeSession(session: Session): string {
  const { uuid, end, clock, ...rest } = session;
  const fields = {
    format: "patchbay-trace",
    version: formatVersion,
    uuid: formatUuid(uuid),
    ...rest,
    clock: encodeClock(clock),
    end: end && {
      ...end,
      wallNs: end.wallNs.toString(),
      clock: end.clock && encodeClock(end.clock),
    },
  };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

const encodeClock = (clock: TraceClock): JsonObject => ({
  frequencyHz: clock.frequencyHz,
  ticks: clock.ticks.toString(),
  wallNs: clock.wallNs.toString(),
  ...(clock.coarse === undefined ? {} : { coarse: clock.coarse }),
});

/** Reads `session.json`; the error says in a few words what is wrong with it. */
export function parseSession(text: string): Result<Session, string> {
  const object = asObject(parseJson(text));
  if (object === undefined) return err("it is no JSON object");
  if (object["format"] !== "patchbay-trace") return err("it is not a Patchbay trace's");
  const version = asCount(object["version"]) ?? 0;
  if (version !== formatVersion) {
    return err(`it is in format version ${version}, this reads version ${formatVersion}`);
  }
  const uuid = parseUuid(asString(object["uuid"]) ?? "");
  const clock = parseClock(object["clock"]);
  if (uuid === undefined) return err("its uuid is missing");
  if (clock === undefined) return err("its clock is missing");
  return ok({
    uuid,
    tool: asString(object["tool"]) ?? "",
    command: asStrings(object["command"]) ?? [],
    pid: asCount(object["pid"]) ?? 0,
    architecture: asString(object["architecture"]) ?? "",
    host: asString(object["host"]),
    clock,
    modules: parseModules(object["modules"]),
    images: asArray(object["images"])?.map(parseImage),
    longEvents: asBoolean(object["longEvents"]),
    options: asObject(object["options"]) ?? {},
    end: parseEnd(object["end"]),
  });
}

function parseClock(value: Json | undefined): TraceClock | undefined {
  const object = asObject(value) ?? {};
  const frequencyHz = asCount(object["frequencyHz"]) ?? 0;
  const ticks = asBigint(object["ticks"]);
  const wallNs = asBigint(object["wallNs"]);
  if (!Number.isInteger(frequencyHz) || frequencyHz < 1) return undefined;
  if (ticks === undefined || wallNs === undefined) return undefined;
  return { frequencyHz, ticks, wallNs, coarse: parseSteps(object["coarse"]) };
}

function parseSteps(value: Json | undefined): ClockSteps | undefined {
  const object = asObject(value) ?? {};
  const meanNs = asCount(object["meanNs"]);
  const longestNs = asCount(object["longestNs"]);
  return meanNs === undefined || longestNs === undefined ? undefined : { meanNs, longestNs };
}

const parseModules = (value: Json | undefined): readonly TracedModule[] =>
  (asArray(value) ?? []).map(parseModule).filter(({ path }) => path !== "");

function parseImage(value: Json): TracedImage {
  const object = asObject(value) ?? {};
  return {
    command: asStrings(object["command"]) ?? [],
    pid: asCount(object["pid"]) ?? 0,
    modules: parseModules(object["modules"]),
  };
}

function parseModule(value: Json): TracedModule {
  const object = asObject(value) ?? {};
  return { path: asString(object["path"]) ?? "", buildId: asString(object["buildId"]) };
}

function parseEnd(value: Json | undefined): SessionEnd | undefined {
  const object = asObject(value);
  const wallNs = asBigint(object?.["wallNs"]);
  if (object === undefined || wallNs === undefined) return undefined;
  return {
    wallNs,
    reason: asString(object["reason"]) ?? "",
    clock: parseClock(object["clock"]),
    ringlessEntries: asCount(object["ringlessEntries"]),
    ringlessExits: asCount(object["ringlessExits"]),
  };
}

/** The best clock that the session has. */
export const sessionClock = (session: Session): TraceClock => session.end?.clock ?? session.clock;
