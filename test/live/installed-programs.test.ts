/**
 * Programs that are installed as they are, with all of their functions traced, and those of all
 * libraries: what they print, write and end with is what it is untraced. `PATCHBAY_SOAK=1` goes
 * through all of the table that are installed.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { isSoak, Running, startCommand, tempDir, tracePath } from "./harness.ts";
import { commonPrograms, type InstalledProgram, morePrograms } from "./installed-programs.ts";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));

/** The largest of them have 200,000 functions. */
const patienceMs = 600_000;

const data = Array.from({ length: 20_000 }, (_, i) => {
  const letters = "abcdefgh".slice(i % 7);
  return `${(i * 7919) % 10007} line ${i} ${letters} ${(i * i) % 997}\n`;
}).join("");

const isInstalled = ({ command: [name] }: InstalledProgram): boolean =>
  isAbsolute(name)
    ? existsSync(name)
    : (process.env["PATH"] ?? "").split(delimiter).some((dir) => existsSync(join(dir, name)));

/** Each run finds the same files. */
function prepare({ command, input = "" }: InstalledProgram, directory: string): readonly string[] {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  const at = (name: string): string => join(directory, name);
  writeFileSync(at("data"), data);
  writeFileSync(at("in"), input);
  const places = { "@IN": at("in"), "@DATA": at("data"), "@OUT": at("out"), "@FILES": fixtures };
  return command.map((word) =>
    Object.entries(places).reduce((text, [name, path]) => text.replaceAll(name, path), word),
  );
}

const readIfThere = (path: string): string =>
  existsSync(path) ? readFileSync(path).toString("latin1") : "";

type Done = { readonly status: number | null; readonly stdout: string; readonly file: string };

const programs = isSoak ? [...commonPrograms, ...morePrograms] : commonPrograms;

it.each(programs.filter(isInstalled))(
  "$name does what it does untraced",
  { timeout: patienceMs },
  async (program) => {
    const directory = join(tempDir("installed"), "work");
    const env = { ...process.env, LC_ALL: "C.UTF-8", HOME: directory, ...program.environment };
    const runBy = async (by: readonly string[]): Promise<Done & { readonly stderr: string }> => {
      const [command = "", ...args] = [...by, ...prepare(program, directory)];
      const { status, stdout, stderr } = await new Running(command, args, { env }).finish();
      return { status, stdout, stderr, file: readIfThere(join(directory, "out")) };
    };
    const { stderr: _, ...untraced } = await runBy([]);
    expect(untraced.status).toBe(0);
    const rings = ["--flight-recorder", "--ring-size", "64K"];
    const record = ["record", "--prologues", ...rings, "-q", "-o", tracePath(), "--"];
    const { stderr, ...traced } = await runBy([...startCommand, ...record]);
    const functions = Number(/of ([\d,]+) functions/.exec(stderr)?.[1]?.replaceAll(",", ""));
    expect({ ...traced, stderr }).toEqual({ ...untraced, stderr });
    expect(stderr).toContain(`the program exited with status ${untraced.status}`);
    expect(stderr).not.toContain("not as the file has them");
    expect(functions).toBeGreaterThan(3_000);
  },
);
