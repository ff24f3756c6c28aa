/**
 * `npm run check`: the quick stages, one line each, for every commit. What needs other programs
 * (disassemblers, compilers, processes to trace) is `npm test`.
 */
import { commandStage, gates, installed, runStage } from "./stages.ts";

const unit = commandStage("unit", [installed("vitest"), "run", "--project", "unit"]);

for (const stage of [...gates, unit]) {
  if (!(await runStage(stage))) process.exitCode = 1;
}
