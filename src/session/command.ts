/** The command that is to be started: found and looked at before anything is. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readSync,
  statSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { PatchbayError } from "../base/error.ts";
import { openProgramFile } from "./program-file.ts";
import { withFiles } from "./trace-files.ts";

/** The kernel reads no more of a script's first line (BINPRM_BUF_SIZE). */
const interpreterLineBytes = 256;

/** Where `name` leads, as for a shell: undefined when nowhere. */
function findCommand(name: string, path: string): string | undefined {
  if (name.includes("/")) return existsSync(name) ? name : undefined;
  if (name === "") return undefined;
  const candidates = path.split(delimiter).map((folder) => join(folder, name));
  return candidates.find(isExecutable) ?? candidates.find((file) => existsSync(file));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** What runs a file that says so itself, in its first line. */
function interpreterOf(file: string): string | undefined {
  const line = new Uint8Array(interpreterLineBytes);
  const fd = openSync(file, "r");
  try {
    readSync(fd, line, 0, line.length, 0);
  } finally {
    closeSync(fd);
  }
  return /^#![ \t]*([^\s\0]+)/.exec(new TextDecoder("latin1").decode(line))?.[1];
}

/** The file that a shell would start for `name`, which has to be there. */
export function findProgram(name: string, path: string): string {
  const doing = `start ${name}`;
  const file = findCommand(name, path);
  if (file === undefined) {
    throw new PatchbayError({ code: "io", doing, why: "no such command" });
  }
  if (!isExecutable(file)) {
    throw new PatchbayError({ code: "no-permission", doing, why: "it is not executable" });
  }
  return file;
}

/**
 * Makes sure that `command` can be started: a program of this machine's kind, or a script.
 * @param path the PATH that it is looked for in.
 */
export function checkCommand(command: readonly string[], path: string): void {
  const [name = ""] = command;
  const doing = `start ${name}`;
  const file = findProgram(name, path);
  const interpreter = withFiles(doing, () => interpreterOf(file));
  if (interpreter !== undefined) {
    if (isExecutable(interpreter)) return;
    throw new PatchbayError({
      code: "io",
      doing,
      why: `its interpreter ${interpreter} is missing`,
    });
  }
  const { machine } = openProgramFile(file).elf;
  if (machine === "x86-64") return;
  throw new PatchbayError({
    code: "wrong-architecture",
    doing,
    why: `it is a program for ${machine}`,
    hint: "start it with --qemu",
  });
}
