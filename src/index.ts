/**
 * Patchbay's public API. The command line is a thin shell on this file and imports nothing else.
 */

export { type ErrorCode, type ErrorDetails, PatchbayError } from "./base/error.ts";
export {
  type Dispatch,
  type DispatchForm,
  dispatchForms,
  type SiteDesign,
  siteDesigns,
} from "./ftrace/dispatch.ts";
export { stackDepthDefault, stackDepthMax } from "./ftrace/ops.ts";
export {
  type FunctionValues,
  parseValueRequest,
  type ValuePlace,
  type ValueRequest,
  type ValueSpec,
  type ValueTypeName,
} from "./ftrace/value-spec.ts";
export { type AArch64Instruction, type AArch64Isa, aarch64 } from "./isa/aarch64/isa.ts";
export {
  loadAddress as loadAddressAArch64,
  loadConstant as loadConstantAArch64,
} from "./isa/aarch64/macros.ts";
export { canReach as canReachAArch64, canReachPage } from "./isa/aarch64/reach.ts";
export { type Assembled, Assembler as WordAssembler } from "./isa/assembler.ts";
export type { Barrier, Effect, Expr } from "./isa/effects.ts";
export { type Cpu, evaluate, execute, type Outcome } from "./isa/execute.ts";
export type { Instruction, Isa, IsaName, ReachRefusal, RegisterInfo } from "./isa/isa.ts";
export type { Reach } from "./isa/reach.ts";
export {
  makeRiscv,
  type RiscvInstruction,
  type RiscvIsa,
  riscv32,
  riscv64,
} from "./isa/riscv/isa.ts";
export {
  callFar as callFarRiscv,
  loadAddress as loadAddressRiscv,
  loadConstant as loadConstantRiscv,
} from "./isa/riscv/macros.ts";
export {
  canReach as canReachRiscv,
  canReachFixed,
  canReachPair,
  splitOffset,
} from "./isa/riscv/reach.ts";
export { type Decoded as DecodedX86, decode as decodeX86 } from "./isa/x86-64/decode.ts";
export { format as formatX86 } from "./isa/x86-64/format.ts";
export type { RelocationRefusal } from "./isa/x86-64/move-instruction.ts";
export {
  type Move,
  type Relocated,
  type RelocationOptions,
  relocatePrologue,
} from "./isa/x86-64/relocator.ts";
export { type X86Instruction, x86_64 } from "./isa/x86-64/semantics.ts";
export {
  type AllowedProtocol,
  allowedProtocols,
  type Extent as WindowExtent,
  type LiveRule,
  liveRules,
  type Promises,
} from "./model/allowed.ts";
export { type Computation, computeAll } from "./model/arithmetic.ts";
export { type Finding, runCheck } from "./model/check.ts";
export { type Claim, type ClaimVerdict, claims } from "./model/claims.ts";
export { type LitmusMachine, litmusMachines } from "./model/litmus/machines.ts";
export {
  type LitmusOptions,
  type LitmusResult,
  type LitmusState,
  type LitmusVerdict,
  runLitmus,
} from "./model/litmus/run.ts";
export { armv8, type Machine, machines, type RiscvFetch, riscv } from "./model/machine.ts";
export { type OrderRow, tabulateOrders } from "./model/orders.ts";
export { minimise, type StepNecessity, tryWithoutEach } from "./model/repair/necessity.ts";
export { type Repair, type RepairFailure, repair } from "./model/repair/search.ts";
export { traceToHtml } from "./model/show/lanes-html.ts";
export { traceToSvg } from "./model/show/lanes-svg.ts";
export { traceToText } from "./model/show/lanes-text.ts";
export { claimsTable, familyTables } from "./model/show/page.ts";
export {
  type Lane,
  type MemoryView,
  replay,
  type Trace as ProtocolTrace,
  type TraceStep,
} from "./model/show/replay.ts";
export {
  type ClaimRow,
  selectChecks,
  type VerifyOptions,
  type VerifyReport,
  type VerifyRow,
  verify,
} from "./model/verify.ts";
export type { SpawnOptions } from "./os/spawn.ts";
export { aarch64Layouts } from "./patch/aarch64-layouts.ts";
export type { Design, DesignState, Ops, Targets, TrapReturn } from "./patch/design.ts";
export * as designs from "./patch/designs/all.ts";
export {
  type Change,
  type Check,
  checkId,
  checksFor,
  type Family,
  type Protocol,
} from "./patch/protocol.ts";
export { families } from "./patch/protocols/families.ts";
export { isExploration, whyItStays } from "./patch/protocols/stays.ts";
export { callOps2023Layout, callOpsLayout, type RiscvSite } from "./patch/riscv-layouts.ts";
export type { RefusalReason, SiteCandidate, StandingState } from "./patch/site.ts";
export * as steps from "./patch/steps.ts";
export * as trampolines from "./patch/trampolines.ts";
export type { Adversity, MachineName, Verdict, ViolationKind } from "./patch/verdicts.ts";
export { type DiffVerdict, diffTraces, type FunctionDiff, formatDiff } from "./report/diff.ts";
export { type Exporter, exporters } from "./report/exporters.ts";
export { formatGraph, formatGraphJson, type GraphOptions } from "./report/graph.ts";
export { formatInfo, readInfo, type TraceInfo } from "./report/info.ts";
export {
  firstView,
  formatLive,
  formatScreen,
  type LiveOrder,
  type LiveRow,
  type LiveView,
  liveOrders,
  pressKey,
  sortLive,
} from "./report/live-statistics.ts";
export { formatOpenCalls, type OpenCalls, readOpenCalls } from "./report/open-calls.ts";
export type { TreeOptions } from "./report/read-call-tree.ts";
export {
  type FunctionReport,
  formatReport,
  type Report,
  type ReportOptions,
  type ReportOrder,
  reportOrders,
  reportTrace,
  type ThreadReport,
} from "./report/report.ts";
export type { Selection } from "./report/selection.ts";
export type { ThreadSummary, TraceSummary } from "./report/summary.ts";
export { type Ink, type Paint, plain } from "./report/table.ts";
export {
  formatTree,
  formatTreeJson,
  type TreeNode,
  type TreeTextOptions,
} from "./report/tree-text.ts";
export {
  formatBytes,
  formatCount,
  formatDuration,
  parseDurationNs,
  plural,
} from "./report/units.ts";
export { type BuildFixOptions, type BuiltFix, buildFix } from "./session/build-fix.ts";
export type { CataloguedFunction, SiteFilter } from "./session/catalogue.ts";
export {
  type Answer,
  type ConsoleTarget,
  consoleVerbs,
  runCommand,
  splitWords,
} from "./session/console.ts";
export { type Control, control } from "./session/control.ts";
export { describeAnswer } from "./session/describe-answer.ts";
export { type Diagnosis, diagnose } from "./session/doctor.ts";
export type { DrainTotals } from "./session/drain.ts";
export {
  type ExplainOptions,
  explainFunction,
  type FunctionAnswer,
  type InlinedCalls,
} from "./session/explain-function.ts";
export {
  listPatches,
  type PatchOptions,
  type PatchOutcome,
  type PatchState,
  type PatchTransition,
  patchProcess,
  type RevertOptions,
  requestPatch,
  revertPatch,
} from "./session/live-patching.ts";
export type { MoreSites } from "./session/more-sites.ts";
export type { NativeLibrary } from "./session/native-library.ts";
export type {
  DurationBucket,
  FunctionStatistics,
  Observation,
  ObservationSummary,
} from "./session/observation.ts";
export { attach, attachStub, launch } from "./session/open-session.ts";
export { openTrace } from "./session/open-trace.ts";
export type { ObserveOptions, RecordOptions } from "./session/options.ts";
export { writeParquet } from "./session/parquet-directory.ts";
export type { Module, ModuleList, SkippedModule } from "./session/process-modules.ts";
export {
  type InlinePlace,
  type Inlining,
  openProgramFile,
  type ProgramFile,
} from "./session/program-file.ts";
export { type QueryResult, type QueryRow, type QueryValue, queryTrace } from "./session/query.ts";
export type { CallChoice, CallOptions } from "./session/record-details.ts";
export type { Recording, RecordingProgress, RecordingSummary } from "./session/recording.ts";
export type { CallCount, RegisteredOps } from "./session/seat.ts";
export type { Session } from "./session/session.ts";
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
export type { LaunchOptions } from "./session/start-program.ts";
export type { ExitStatus } from "./session/target-worker.ts";
export type { ThreadChoice } from "./session/thread-filter.ts";
export type { DispatchCounts, EnabledFunction } from "./session/tracing.ts";
export { writeUftrace } from "./session/uftrace-directory.ts";
export type { SourceLine } from "./symbols/dwarf/line-table.ts";
export type { HeldUp } from "./target/stack-walk.ts";
export { type CallEnd, type CallVisitor, callEnd, type LongPayload } from "./trace/call-stack.ts";
export type { TraceClock } from "./trace/clock.ts";
export type { FunctionTable, TracedFunction } from "./trace/functions.ts";
export type { Session as TraceSession, SessionEnd, SessionStart } from "./trace/session.ts";
export type { NameStack, StackFrame } from "./trace/stack-frames.ts";
export type { ByteSource, Trace, TraceStream } from "./trace/trace.ts";
export { type ReadOptions, TraceReader, type TraceThread } from "./trace/trace-reader.ts";
