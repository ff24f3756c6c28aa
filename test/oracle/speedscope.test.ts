/**
 * The speedscope export, held to the schema that speedscope publishes, by a validator that we did
 * not write. `fixtures/speedscope-schema.json` is `dist/release/file-format-schema.json` of the npm
 * package speedscope 1.25.0, as it is; `fixtures/speedscope-license.txt` is its licence.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { exporters } from "../../src/report/exporters.ts";
import { eventKind } from "../../src/ring/layout.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { historyOf, moves } from "../support/random-calls.ts";
import { concat, functionNamed, packetOf, packetsOf, traceOf } from "../support/trace-builder.ts";

const schema = fileURLToPath(new URL("fixtures/speedscope-schema.json", import.meta.url));
/** Of Debian's python3-jsonschema. */
const validator = "/usr/bin/jsonschema";
const folder = mkdtempSync(join(tmpdir(), "patchbay-speedscope-"));
afterAll(() => rmSync(folder, { recursive: true }));

const exported = (trace: Trace): string =>
  new TextDecoder().decode(concat([...(exporters.get("speedscope")?.(trace, {}) ?? [])]));

/** What the validator has against `files`; nothing where all of them are of the schema. */
function complaints(files: readonly string[]): string {
  const paths = files.map((text, index) => {
    const path = join(folder, `${index}.json`);
    writeFileSync(path, text);
    return ["-i", path];
  });
  const { status, stdout, stderr, error } = spawnSync(validator, [...paths.flat(), schema], {
    encoding: "utf8",
  });
  if (error !== undefined) throw error;
  return status === 0 ? "" : `${status} ${stdout}${stderr}`;
}

const functions = [
  functionNamed(0, "main", { file: "a.c", line: 3 }),
  functionNamed(1, 'quote " and \\ and \u0007', { demangled: "grün<int>::\u{1f600}(char)" }),
  functionNamed(2, "entries", { entriesOnly: true }),
];

describe("the speedscope export", () => {
  it("is of speedscope's schema, whatever was called", () => {
    const threads = fc.array(moves(60), { minLength: 0, maxLength: 3 });
    const files = fc.sample(threads, { numRuns: 40, seed: 7 }).map((lists) =>
      exported(
        traceOf(
          lists.map((list, i) => ({
            tid: 5 + i,
            packets: packetsOf(historyOf(list, 1000 + i).events, [9]),
          })),
          functions,
        ),
      ),
    );
    expect(complaints(files)).toBe("");
  });

  it("is so where events were lost and calls are open", () => {
    const entry = { kind: eventKind.entry, time: 5, site: 0 };
    const lost = { lost: { entries: 1, exits: 3, all: 4 }, place: 1 } as const;
    const trace = traceOf(
      [
        { tid: 5, name: 'a "name"', packets: [packetOf([entry]), packetOf([entry], lost)] },
        { tid: 6, packets: [packetOf([{ ...entry, site: 2 }])] },
        { tid: 7, packets: [packetOf([{ ...entry, site: 99 }])] },
      ],
      functions,
    );
    expect(complaints([exported(trace)])).toBe("");
  });

  it("would not be with a number for a name: the schema can tell", () => {
    const file = exported(traceOf([], functions));
    expect(complaints([file])).toBe("");
    expect(complaints([file.replace('"frames":[', '"frames":[{"name":1}')])).not.toBe("");
  });
});
