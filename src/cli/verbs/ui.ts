/** `patchbay ui`: the view in the browser. */
import { type Command, InvalidArgumentError } from "commander";
import { PatchbayError } from "../../index.ts";
import { serveUi } from "../../server/serve.ts";
import { parsePid } from "../units.ts";

type Options = { readonly pid?: string; readonly output: string; readonly port?: number };

export function registerUi(program: Command): void {
  program
    .command("ui")
    .description("show a trace, a running process or the protocols in a browser, on 127.0.0.1")
    .argument("[dir]", "trace directory")
    .option("-p, --pid <pid>", "look into this running process")
    .option("-o, --output <dir>", "where recordings of the process go", "patchbay-trace")
    .option("--port <n>", "port to listen on, instead of any that is free", parsePort)
    .action(run);
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (port >= 0 && port < 65_536) return port;
  throw new InvalidArgumentError("a port is a number from 0 to 65535.");
}

async function run(trace: string | undefined, options: Options): Promise<void> {
  const pid = parsePid(options.pid);
  if (trace !== undefined && pid !== undefined) {
    const why = "both a trace and a process were given";
    throw new PatchbayError({ code: "bad-usage", doing: "show the view", why });
  }
  const { port, output: directory } = options;
  const server = await serveUi({ trace, pid, directory, port });
  process.stdout.write(`${server.url}\n`);
  process.stderr.write("patchbay: open this address in a browser; Ctrl-C ends\n");
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, resolve);
  });
  await server.close();
}
