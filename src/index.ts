/**
 * Patchbay's public API. The command line is a thin shell on this file and imports nothing else.
 */
export { type ErrorCode, type ErrorDetails, PatchbayError } from "./base/error.ts";
export type { SpawnOptions } from "./os/spawn.ts";
export { describeAnswer } from "./session/describe-answer.ts";
export type { DrainTotals } from "./session/drain.ts";
export {
  type ExplainOptions,
  explainFunction,
  type FunctionAnswer,
  type InlinedCalls,
} from "./session/explain-function.ts";
export type { Module, ModuleList, SkippedModule } from "./session/process-modules.ts";
export {
  type InlinePlace,
  type Inlining,
  openProgramFile,
  type ProgramFile,
} from "./session/program-file.ts";
export type { Recording, RecordingProgress, RecordingSummary } from "./session/recording.ts";
export type { SelectedSite, SiteFilter } from "./session/select-sites.ts";
export { attach, launch, type RecordOptions, type Session } from "./session/session.ts";
export {
  countByReason,
  listSites,
  type RefusedRow,
  type SiteListing,
  type SiteListOptions,
  type SiteRow,
  type SiteTarget,
  siteTarget,
} from "./session/site-listing.ts";
export type { ExitStatus } from "./session/target-worker.ts";
