/**
 * What servers that nobody compiled for it do in a second: Debian's redis-server and nginx, before
 * Patchbay comes, with all of their functions ready to be traced and none of them traced, with all
 * of them traced, and when it has gone.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { patchbay } from "./patchbay.ts";
import { Driven } from "./program.ts";
import { type Row, Samples, type Table } from "./table.ts";

const rounds = 3;
const port = 18_571;
const states = ["untraced", "attached, all off", "all traced", "detached"] as const;

type Server = {
  readonly name: string;
  readonly command: (directory: string) => readonly string[];
  /** Loads it for a second or so; requests a second. */
  readonly load: () => number;
};

/** The number behind `pattern` in what a load generator prints. */
function rateOf(command: string, args: readonly string[], pattern: RegExp): number {
  const text = execFileSync(command, args, { encoding: "utf8", stdio: "pipe" });
  return Number(pattern.exec(text)?.[1]);
}

const nginxConfig = (directory: string): string =>
  `daemon off; master_process off; pid ${directory}/pid; error_log ${directory}/log;
events {} http { access_log off; client_body_temp_path ${directory}/body;
server { listen 127.0.0.1:${port}; root ${directory}; } }`;

const servers: readonly Server[] = [
  {
    name: "redis-server, GET",
    command: (directory) => [
      ...["/usr/bin/redis-server", "--port", String(port), "--dir", directory],
      ...["--save", "", "--daemonize", "no"],
    ],
    load: () => {
      const args = ["-p", String(port), "-q", "-n", "60000", "-t", "get"];
      return rateOf("redis-benchmark", args, /GET: ([\d.]+) requests per second/);
    },
  },
  {
    name: "nginx, 9 KB",
    command: (directory) => {
      writeFileSync(join(directory, "page"), "x".repeat(9_000));
      writeFileSync(join(directory, "conf"), nginxConfig(directory));
      return ["/usr/sbin/nginx", "-c", join(directory, "conf")];
    },
    load: () => {
      const args = ["-q", "-k", "-c", "4", "-n", "20000", `http://127.0.0.1:${port}/page`];
      return rateOf("ab", args, /Requests per second:\s+([\d.]+)/);
    },
  },
];

async function measure(server: Server, directory: string, samples: Samples): Promise<number> {
  const sayAndRun = ["sh", "-c", 'echo "pid $$"; exec "$0" "$@"'];
  const driver = await Driven.start([...sayAndRun, ...server.command(directory)]);
  let functions = 0;
  try {
    await sleep(500);
    server.load();
    for (let round = 0; round < rounds; round++) {
      samples.add("untraced", server.load());
      await using session = await patchbay.attach(driver.pid);
      const recording = await session.record({
        ...{ directory: join(directory, "trace"), filter: { include: [] } },
        ...{ prologues: true, flightRecorder: true },
      });
      ({ functions } = await recording.progress());
      samples.add("all traced", server.load());
      await recording.setEnabled(false);
      samples.add("attached, all off", server.load());
      await recording.stop();
      await session.close();
      rmSync(join(directory, "trace"), { recursive: true, force: true });
      samples.add("detached", server.load());
    }
  } finally {
    process.kill(driver.pid, "SIGTERM");
    await driver.end();
  }
  return functions;
}

export async function run(): Promise<readonly Table[]> {
  const rows: Row[] = [];
  for (const server of servers) {
    const directory = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
    const [program = ""] = server.command(directory);
    const samples = new Samples();
    if (existsSync(program)) {
      const functions = await measure(server, directory, samples);
      const rates = states.map((state) => [state, Math.round(samples.median(state))]);
      rows.push({ "": server.name, functions, ...Object.fromEntries(rates) });
    } else rows.push({ "": `${server.name}: not installed` });
    rmSync(directory, { recursive: true, force: true });
  }
  return [
    {
      title: "servers: requests a second, all functions of the program and its libraries",
      notes: [
        `medians of ${rounds} turns; the load generator runs on the same machine`,
        "functions are traced with entries and exits; those without a site are moved",
      ],
      rows,
    },
  ];
}
