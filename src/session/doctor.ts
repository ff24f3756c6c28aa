/** What this machine allows a tracer to do, and how to make it allow what it does not. */
import { existsSync, readFileSync } from "node:fs";
import { arch, release } from "node:os";
import { syscall } from "../os/libc.ts";
import { cpuVendor } from "../os/proc.ts";

/** One thing that was looked at. */
export type Diagnosis = {
  readonly name: string;
  /** `limited`: works, with the restriction that `found` states. */
  readonly state: "ok" | "limited" | "missing";
  readonly found: string;
  /** What to do about it, where there is something to do. */
  readonly fix?: string;
};

const readOr = (path: string, otherwise: string): string =>
  existsSync(path) ? readFileSync(path, "utf8").trim() : otherwise;

function diagnoseMachine(): Diagnosis {
  const name = "processor";
  if (arch() === "x64") return { name, state: "ok", found: `x86-64, ${cpuVendor()}` };
  return { name, state: "missing", found: `${arch()}: processes are traced on x86-64 alone` };
}

/** /proc/sys/kernel/yama/ptrace_scope (Documentation/admin-guide/LSM/Yama.rst). */
function diagnosePtrace(): Diagnosis {
  const name = "ptrace";
  const scope = readOr("/proc/sys/kernel/yama/ptrace_scope", "0");
  const isRoot = process.getuid?.() === 0;
  if (scope === "3") {
    return {
      name,
      state: "missing",
      found: "switched off until the next boot (ptrace_scope 3)",
      fix: "boot with another kernel.yama.ptrace_scope",
    };
  }
  if (isRoot) return { name, state: "ok", found: "root attaches to every process" };
  if (scope === "0") return { name, state: "ok", found: "attaches to processes of this user" };
  return {
    name,
    state: "limited",
    found: `launches programs, but attaches to none (ptrace_scope ${scope})`,
    fix: "run as root, or sysctl kernel.yama.ptrace_scope=0",
  };
}

const sysMembarrier = 324;
const membarrierQuery = 0n;
const membarrierSyncCore = 0x20;

function diagnoseMembarrier(): Diagnosis {
  const name = "membarrier";
  const commands = syscall(sysMembarrier, membarrierQuery, 0n, 0n, 0n, 0n, 0n);
  if (commands > 0 && (commands & membarrierSyncCore) !== 0) {
    return { name, state: "ok", found: "SYNC_CORE: text changes while threads run" };
  }
  return {
    name,
    state: "limited",
    found: "no SYNC_CORE: all threads are held while text changes",
    fix: "a kernel of 4.16 or later with CONFIG_MEMBARRIER",
  };
}

function diagnoseClock(): Diagnosis {
  const name = "clock";
  const flags = readOr("/proc/cpuinfo", "");
  const source = readOr(
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "unknown",
  );
  if (/\bconstant_tsc\b/.test(flags) && /\bnonstop_tsc\b/.test(flags)) {
    return { name, state: "ok", found: `the TSC runs evenly (clock source ${source})` };
  }
  return {
    name,
    state: "limited",
    found: `the TSC may change its pace (clock source ${source}): durations may be off`,
  };
}

function diagnoseMemory(): Diagnosis {
  const name = "memory";
  if (readOr("/proc/sys/vm/overcommit_memory", "0") !== "2") {
    return { name, state: "ok", found: "room for a mirror of the stacks: exits are recorded" };
  }
  return {
    name,
    state: "limited",
    found: "overcommit is off (vm.overcommit_memory 2): entries alone are recorded",
    fix: "sysctl vm.overcommit_memory=0",
  };
}

/** Looks at everything that recording depends on. */
export const diagnose = (): readonly Diagnosis[] => [
  { name: "kernel", state: "ok", found: release() },
  diagnoseMachine(),
  diagnosePtrace(),
  diagnoseMembarrier(),
  diagnoseClock(),
  diagnoseMemory(),
];
