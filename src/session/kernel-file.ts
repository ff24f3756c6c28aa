/**
 * Linux kernel images as programs whose patch sites can be listed: plain images of AArch64 and
 * RISC-V, gzip'd ones, and EFI programs that unpack a gzip'd one.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { PatchbayError } from "../base/error.ts";
import { kernelElf, recogniseKernel } from "../elf/kernel-image.ts";
import { type ProgramFile, programFileOf } from "./program-file.ts";

export type KernelFile = {
  readonly program: ProgramFile;
  /** Added to the program's addresses to get those that the kernel is linked for. */
  readonly bias: bigint;
};

const magics = ["MZ", "\x1f\x8b"];

/** Whether the file begins as kernels do; also where it can't be read, which others report. */
function looksLikeKernel(path: string): boolean {
  const start = Buffer.alloc(2);
  try {
    const fd = openSync(path, "r");
    try {
      readSync(fd, start, 0, 2, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
  return magics.includes(start.toString("latin1"));
}

function unpack(doing: string, bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PatchbayError({ code: "not-elf", doing, why: `its gzip data: ${why}`, cause: error });
  }
}

/** The kernel at `path`; undefined when it is something else. */
export function openKernelFile(path: string): KernelFile | undefined {
  if (!looksLikeKernel(path)) return undefined;
  const doing = `read the kernel ${path}`;
  const file = readFileSync(path);
  let image: Uint8Array = file[0] === 0x1f ? unpack(doing, file) : file;
  let kind = recogniseKernel(image);
  if (kind?.kind === "zboot") {
    const { by, from, to } = kind;
    if (by !== "gzip") {
      const hint = `cut out bytes ${from} to ${to}, and give Patchbay what ${by} makes of them`;
      const why = `it is packed by ${by}, which Patchbay does not unpack`;
      throw new PatchbayError({ code: "unsupported", doing, why, hint });
    }
    image = unpack(doing, image.subarray(from, to));
    kind = recogniseKernel(image);
  }
  if (kind?.kind !== "image") return undefined;
  const { bytes, bias } = kernelElf(image, kind.machine);
  return { program: programFileOf(path, bytes), bias };
}
