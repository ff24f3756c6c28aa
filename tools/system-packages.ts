/**
 * The one table of what the tests need besides Node: Debian packages, and how to tell that they
 * are there.
 */
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { type CommandResult, runCommand } from "./run-command.ts";

export type SystemPackage = {
  /** A command on the PATH, or a file by its absolute path. */
  readonly probe: string;
  /** The Debian (and Ubuntu) package that brings it. */
  readonly debian: string;
  readonly neededFor: string;
};

export const systemPackages: readonly SystemPackage[] = [
  { probe: "git", debian: "git", neededFor: "the layers and tidy checks" },
  { probe: "gcc", debian: "gcc", neededFor: "target programs" },
  { probe: "g++", debian: "g++", neededFor: "target programs with exceptions" },
  { probe: "make", debian: "make", neededFor: "target programs" },
  { probe: "/usr/include/stdio.h", debian: "libc6-dev", neededFor: "target programs" },
  { probe: "clang", debian: "clang", neededFor: "its patch sites and NOPs" },
  { probe: "rustc", debian: "rustc", neededFor: "a fix in Rust" },
  { probe: "musl-gcc", debian: "musl-tools", neededFor: "target programs of another C library" },
  {
    probe: "/usr/include/x86_64-linux-gnu/sys/sdt.h",
    debian: "systemtap-sdt-dev",
    neededFor: "programs with static probes",
  },
  { probe: "xz", debian: "xz-utils", neededFor: "mini debug info" },
  { probe: "setpriv", debian: "util-linux", neededFor: "being another user" },
  { probe: "strace", debian: "strace", neededFor: "a process that is traced already" },
  ...["python3", "perl", "sqlite3", "redis-server"].map((name) => ({
    probe: `/usr/bin/${name}`,
    debian: name,
    neededFor: "programs with all of their functions traced",
  })),
  { probe: "/usr/sbin/nginx", debian: "nginx", neededFor: "a server with all functions traced" },
  { probe: "ld.lld", debian: "lld", neededFor: "its section layout" },
  {
    probe: "/usr/lib/llvm-14/include/c++/v1/vector",
    debian: "libc++-14-dev",
    neededFor: "exceptions through another unwinder",
  },
  {
    probe: "/usr/lib/llvm-14/lib/libc++abi.a",
    debian: "libc++abi-14-dev",
    neededFor: "exceptions through another unwinder",
  },
  {
    probe: "/usr/lib/llvm-14/lib/libunwind.a",
    debian: "libunwind-14-dev",
    neededFor: "exceptions through another unwinder",
  },
  { probe: "objdump", debian: "binutils", neededFor: "x86-64 oracles" },
  { probe: "babeltrace2", debian: "babeltrace2", neededFor: "the trace format's oracle" },
  { probe: "uftrace", debian: "uftrace", neededFor: "reading what is exported for it" },
  { probe: "/usr/bin/jsonschema", debian: "python3-jsonschema", neededFor: "a JSON schema" },
  { probe: "gdb", debian: "gdb", neededFor: "unwinding through thunks" },
  { probe: "gdbserver", debian: "gdbserver", neededFor: "a second GDB stub" },
  { probe: "chromium", debian: "chromium", neededFor: "the view in the browser" },
  { probe: "qemu-riscv64", debian: "qemu-user", neededFor: "running AArch64 and RISC-V" },
  { probe: "qemu-system-aarch64", debian: "qemu-system-arm", neededFor: "a machine's GDB stub" },
  ...cross("aarch64-linux-gnu", "arm64"),
  ...cross("riscv64-linux-gnu", "riscv64"),
];

/** What only `npm run bench` compares with; `npm test` does without. */
export const benchPackages: readonly SystemPackage[] = [
  { probe: "redis-benchmark", debian: "redis-tools", neededFor: "loading redis-server" },
  { probe: "ab", debian: "apache2-utils", neededFor: "loading nginx" },
  { probe: "spin", debian: "spin", neededFor: "the model checker beside ours" },
];

function cross(triple: string, architecture: string): readonly SystemPackage[] {
  const neededFor = `${architecture} programs and oracles`;
  const headers = `libc6-dev-${architecture}-cross`;
  return [
    { probe: `${triple}-gcc`, debian: `gcc-${triple}`, neededFor },
    { probe: `${triple}-g++`, debian: `g++-${triple}`, neededFor },
    { probe: `${triple}-objdump`, debian: `binutils-${triple}`, neededFor },
    { probe: `/usr/${triple}/include/stdio.h`, debian: headers, neededFor },
  ];
}

function isThere(probe: string, path: string = process.env["PATH"] ?? ""): boolean {
  const isFile = isAbsolute(probe);
  const candidates = isFile ? [probe] : path.split(delimiter).map((folder) => join(folder, probe));
  return candidates.some((file) => {
    try {
      accessSync(file, isFile ? constants.R_OK : constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Those of `packages` whose probe is not found. @param path instead of the environment's PATH. */
export function missingPackages(
  packages: readonly SystemPackage[],
  path?: string,
): readonly SystemPackage[] {
  return packages.filter(({ probe }) => !isThere(probe, path));
}

/** The command that installs `packages` without asking anything. */
export const installCommand = (packages: readonly SystemPackage[]): string =>
  `apt-get install -y --no-install-recommends ${uniqueNames(packages).join(" ")}`;

const uniqueNames = (packages: readonly SystemPackage[]): readonly string[] => [
  ...new Set(packages.map(({ debian }) => debian)),
];

/**
 * Sees to it that `packages` are there: installs what is missing where this process may and
 * apt-get is there, and fails with the command to give where it may not or that didn't do.
 */
export async function provide(packages: readonly SystemPackage[]): Promise<CommandResult> {
  const missing = missingPackages(packages);
  let output = "";
  if (missing.length > 0 && process.getuid?.() === 0 && isThere("apt-get")) {
    console.log(`installing: ${uniqueNames(missing).join(" ")}`);
    const apt = "apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120";
    // An update that fails for one of many sources is no reason to give up.
    const script = `${apt} update; ${installCommand(missing).replace("apt-get", apt)}`;
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    ({ output } = await runCommand(["sh", "-c", script], { timeoutMs: 600_000, env }));
  }
  const still = missingPackages(packages);
  if (still.length === 0) return { ok: true, output };
  const rows = still.map((row) => `missing: ${row.probe} (${row.debian}), for ${row.neededFor}`);
  const advice = `to install: sudo ${installCommand(still)}`;
  return { ok: false, output: [output.trimEnd(), ...rows, advice].join("\n").trimStart() };
}
