/**
 * `npm run bench [-- NAME...] [--json]`: runs the benchmarks of these names, or all of them. They
 * measure and compare; nothing here fails because something took long.
 */
import { run as runAttach } from "./attach.ts";
import { run as runCost } from "./cost.ts";
import { run as runDrain } from "./drain.ts";
import { run as runHandlers } from "./handlers.ts";
import { describeMachine, machineLine } from "./machine.ts";
import { run as runPeers } from "./peers.ts";
import { run as runReading } from "./reading.ts";
import { run as runServers } from "./servers.ts";
import { format, type Table } from "./table.ts";
import { run as runTracers } from "./tracers.ts";
import { run as runUi } from "./ui.ts";

const benchmarks: Readonly<Record<string, () => Promise<readonly Table[]>>> = {
  cost: runCost,
  handlers: runHandlers,
  attach: runAttach,
  drain: runDrain,
  reading: runReading,
  peers: runPeers,
  servers: runServers,
  tracers: runTracers,
  ui: runUi,
};

const wanted = process.argv.slice(2).filter((word) => word !== "--json");
const asJson = process.argv.includes("--json");
const names = wanted.length > 0 ? wanted : Object.keys(benchmarks);
const unknown = names.filter((name) => benchmarks[name] === undefined);

async function main(): Promise<void> {
  const machine = describeMachine();
  if (!asJson) console.log(`${machineLine(machine)}\n`);
  const results: Record<string, readonly Table[]> = {};
  for (const name of names) {
    const tables = (await benchmarks[name]?.()) ?? [];
    results[name] = tables;
    if (!asJson) for (const table of tables) console.log(format(table));
  }
  if (asJson) console.log(JSON.stringify({ machine, results }, undefined, 2));
}

if (unknown.length > 0) {
  console.error(`bench: there is no ${unknown.join(", ")}; ${Object.keys(benchmarks).join(", ")}`);
  process.exitCode = 2;
} else {
  await main();
}
