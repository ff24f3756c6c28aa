/** What is known of a process before anything is done to it. */
import type { Pid } from "../base/brand.ts";
import { type CatalogueOf, catalogueOf } from "./catalogue.ts";
import { listModules, type Module, type ModuleList } from "./process-modules.ts";

export type About = {
  readonly pid: Pid;
  /** In clock ticks since boot: tells it from a namesake. */
  readonly startTime: number;
  readonly list: ModuleList;
  /** Kept in step with what is mapped. */
  readonly modules: Module[];
  readonly catalogue: CatalogueOf;
};

export function describeProcess(
  pid: Pid,
  startTime: number,
  list: ModuleList = listModules(pid),
): About {
  const { modules } = list;
  return { pid, startTime, list, modules, catalogue: catalogueOf(pid, modules) };
}
