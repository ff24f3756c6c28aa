/** Every back end, by its machine. */
import type { Machine } from "../elf/elf-file.ts";
import { aarch64 } from "./aarch64/back-end.ts";
import type { BackEnd } from "./back-end.ts";
import { riscv64 } from "./riscv/back-end.ts";
import { x8664 } from "./x86-64/back-end.ts";

export const backEnds: Readonly<Record<Machine, BackEnd>> = {
  "x86-64": x8664,
  aarch64,
  riscv64,
};
