/** Functions of programs on this machine, as food for the decoder and the relocator. */
import { spawnSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";

/** One function of a program: where it is linked, and its bytes. */
export type ProgramFunction = { readonly at: number; readonly code: Uint8Array };

/** Every function that readelf finds a frame description for. */
export const functionsOf = (path: string): ProgramFunction[] => {
  const file = new Uint8Array(readFileSync(realpathSync(path)));
  // Its exit status is 1 for some complaints that do not concern the frames.
  const run = (flags: string): string =>
    spawnSync("readelf", [flags, realpathSync(path)], { encoding: "latin1", maxBuffer: 2 ** 29 })
      .stdout;
  const segments = [
    ...run("-lW").matchAll(/^ +LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x\w+ R E/gm),
  ].map(([, offset = "", at = "", size = ""]) => ({
    offset: Number.parseInt(offset, 16),
    at: Number.parseInt(at, 16),
    size: Number.parseInt(size, 16),
  }));
  return [...run("-wf").matchAll(/ pc=(\w+)\.\.(\w+)$/gm)].flatMap(([, first = "", last = ""]) => {
    const at = Number.parseInt(first, 16);
    const end = Number.parseInt(last, 16);
    const segment = segments.find((s) => at >= s.at && end <= s.at + s.size);
    if (segment === undefined) return [];
    const offset = segment.offset + at - segment.at;
    return [{ at, code: file.subarray(offset, offset + end - at) }];
  });
};
