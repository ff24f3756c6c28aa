/**
 * The trace's description for CTF readers, in TSDL (CTF 1.8.3, section 7): the packet's head as
 * `trace/packet.ts` writes it, events as `ring/layout.ts` and `ring/long-event.ts` lay them out,
 * and an enumeration that gives each site its function's name.
 */
import { eventKind, kindBits, siteBits, siteCountMax, timeBits } from "../ring/layout.ts";
import { longBase, longForm } from "../ring/long-event.ts";
import { clockOrigin, type TraceClock } from "./clock.ts";
import type { Fork } from "./forks.ts";
import type { TracedFunction } from "./functions.ts";
import { lossPlace, threadNameBytes } from "./packet.ts";
import { formatUuid, type Session, sessionClock } from "./session.ts";

/** The whole text of the `metadata` file. */
export function encodeMetadata(
  session: Session,
  functions: readonly TracedFunction[],
  forks: readonly Fork[] = [],
): string {
  const clock = sessionClock(session);
  return [
    `/* CTF 1.8 */`,
    integers(),
    trace(session),
    environment(session, forks),
    clockBlock(session, clock),
    labelled(),
    ...imagesOf(functions).flatMap((image) => [
      sites(image, functions),
      stream(image),
      ...Object.entries(eventKind).map(([name, id]) => event(image, name, id)),
    ]),
  ].join("\n\n");
}

/** The images that have functions, and the first one, which may have none yet. */
const imagesOf = (functions: readonly TracedFunction[]): readonly number[] =>
  [...new Set([0, ...functions.map(({ image = 0 }) => image)])].sort((a, b) => a - b);

const integers = (): string =>
  [
    ...[8, 16, 32, 64].map((bits) => integer(bits, `uint${bits}_t`)),
    integer(siteBits, "site_bits_t"),
    integer(siteBits - 1, "bare_site_bits_t"),
    "typealias integer { size = 1; align = 1; signed = false; } := flag_t;",
    integer(32, "types_t", "base = 16; "),
    integer(64, "value_t", "base = 16; "),
    integer(8, "char_t", "encoding = UTF8; "),
  ].join("\n");

const integer = (bits: number, name: string, more = ""): string =>
  `typealias integer { size = ${bits}; align = 8; signed = false; ${more}} := ${name};`;

const trace = (session: Session): string => `trace {
  major = 1;
  minor = 8;
  uuid = "${formatUuid(session.uuid)}";
  byte_order = le;
  packet.header := struct {
    uint32_t magic;
    uint8_t uuid[16];
    uint32_t stream_id;
  };
};`;

const environment = (session: Session, forks: readonly Fork[]): string => `env {
  tracer_name = "patchbay";
  tool = ${quoted(session.tool)};
  command = ${quoted(session.command.join(" "))};
  pid = ${session.pid};
  architecture = ${quoted(session.architecture)};
  hostname = ${quoted(session.host ?? "")};${forks.map(forkField).join("")}
};`;

/** An environment has no lists: each fork is a field of its own, `fork_1` and so on. */
const forkField = ({ pid, parent, thread, ticks }: Fork, index: number): string => {
  const by = [
    ...(thread === undefined ? [] : [`by thread ${thread}`]),
    ...(parent === undefined ? [] : [`of process ${parent}`]),
    ...(ticks === undefined ? [] : [`at ${ticks} ticks`]),
  ];
  return `\n  fork_${index + 1} = ${quoted([`process ${pid}`, ...by].join(" "))};`;
};

function clockBlock(session: Session, clock: TraceClock): string {
  const origin = clockOrigin(clock);
  return `clock {
  name = ticks;
  description = ${quoted(describe(clock))};
  uuid = "${formatUuid(session.uuid)}";
  freq = ${clock.frequencyHz};
  precision = ${precisionOf(clock)};
  offset_s = ${origin.seconds};
  offset = ${origin.ticks};
};
typealias integer {
  size = 64; align = 8; signed = false; map = clock.ticks.value;
} := packet_time_t;
typealias integer {
  size = ${timeBits}; align = 1; signed = false; map = clock.ticks.value;
} := event_time_t;`;
}

function describe({ coarse }: TraceClock): string {
  if (coarse === undefined) return "the processor's time stamp counter";
  const [mean, longest] = [coarse.meanNs, coarse.longestNs].map((ns) => `${ns / 1000} us`);
  return `CLOCK_MONOTONIC in steps of ${mean}, ${longest} at the most`;
}

/** How far times may be off, in ticks. */
const precisionOf = ({ coarse, frequencyHz }: TraceClock): number =>
  coarse === undefined ? 1 : Math.ceil((coarse.longestNs * frequencyHz) / 1e9);

/** The functions of an image, by the numbers that its events carry. */
function sites(image: number, all: readonly TracedFunction[]): string {
  const functions = all.filter((f) => (f.image ?? 0) === image);
  const names = uniqueNames(functions);
  const sites = functions.map((f, i) => `  ${quoted(names[i] ?? "")} = ${f.site}`);
  // TSDL has no empty enumeration.
  if (sites.length === 0) sites.push(`  "no function" = ${siteCountMax - 1}`);
  return [
    enumeration("site_bits_t", typeOf("site", image), sites),
    enumeration("bare_site_bits_t", typeOf("bare_site", image), sites),
  ].join("\n");
}

const typeOf = (name: string, image: number): string =>
  image === 0 ? `${name}_t` : `${name}_${image}_t`;

const labelled = (): string =>
  [
    enumeration("uint8_t", "base_t", labels(longBase)),
    enumeration("uint8_t", "form_t", labels(longForm)),
    enumeration("uint8_t", "loss_place_t", labels(lossPlace)),
  ].join("\n");

const enumeration = (container: string, name: string, lines: readonly string[]): string =>
  `typealias enum : ${container} {\n${lines.join(",\n")}\n} := ${name};`;

const labels = (values: Readonly<Record<string, number>>): readonly string[] =>
  Object.entries(values).map(([name, value]) => `  ${quoted(name)} = ${value}`);

/** A label names one function only: where two have the same name, their sites are added. */
function uniqueNames(functions: readonly TracedFunction[]): readonly string[] {
  const names = functions.map((f) => f.demangled ?? f.name);
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return functions.map((f, i) => {
    const name = names[i] ?? "";
    return counts.get(name) === 1 ? name : `${name} #${f.site}`;
  });
}

const stream = (image: number): string => `stream {
  id = ${image};
  event.header := struct {
    integer { size = ${kindBits}; align = 1; signed = false; } id;
    event_time_t timestamp;
  };
  packet.context := struct {
    packet_time_t timestamp_begin;
    packet_time_t timestamp_end;
    uint64_t content_size;
    uint64_t packet_size;
    uint64_t packet_seq_num;
    uint64_t events_discarded;
    uint64_t lost_entries;
    uint64_t lost_exits;
    uint32_t tid;
    uint32_t pid;
    loss_place_t loss_place;
    char_t thread_name[${threadNameBytes}];
  };
};`;

/** Long events bring values, unwound ones a flag (`aloneBit`); the others are their site alone. */
const event = (image: number, name: string, id: number): string => `event {
  name = "${name}";
  id = ${id};
  stream_id = ${image};
  fields := struct {
    ${fieldsOf(image, id)}
  };
};`;

const fieldsOf = (image: number, id: number): string => {
  const [site, bare] = [typeOf("site", image), typeOf("bare_site", image)];
  if (id === eventKind.unwound) return `${bare} function;\n    flag_t alone;`;
  return `${site} function;${id === eventKind.long ? longFields : ""}`;
};

const longFields = `
    base_t base;
    form_t form;
    uint16_t words;
    types_t types;
    value_t values[words];`;

/** A TSDL string literal; it escapes as C does. */
function quoted(text: string): string {
  const escaped = text.replaceAll(/["\\]/g, "\\$&").replaceAll("\n", "\\n");
  return `"${escaped.replaceAll(/\p{Cc}/gu, "?")}"`;
}
