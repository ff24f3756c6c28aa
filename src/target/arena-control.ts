/** Writes the arena's control page: its shape and who made it. */
import { writeSync } from "node:fs";
import { pid as toPid } from "../base/brand.ts";
import { readStat } from "../os/proc.ts";
import {
  type ArenaShape,
  arenaBytes,
  arenaMagic,
  arenaVersion,
  control,
  pageBytes,
} from "../ring/arena.ts";

/** @param room what a thread that claims a ring may write before the tracer makes more room. */
export function writeControlPage(fd: number, shape: ArenaShape, room: bigint): void {
  const page = new Uint8Array(pageBytes);
  const view = new DataView(page.buffer);
  const { pid } = process;
  view.setBigUint64(control.magic, arenaMagic, true);
  view.setUint32(control.version, arenaVersion, true);
  view.setUint32(control.tracerPid, pid, true);
  view.setBigUint64(control.tracerStart, BigInt(readStat(toPid(pid)).startTime), true);
  view.setUint32(control.ringCount, shape.ringCount, true);
  view.setUint32(control.slotCount, shape.slotCount, true);
  view.setBigUint64(control.programBytes, BigInt(shape.programBytes), true);
  view.setBigUint64(control.arenaBytes, BigInt(arenaBytes(shape)), true);
  view.setBigUint64(control.room, room, true);
  writeSync(fd, page, 0, page.length, 0);
}
