/** The page of `patchbay ui` in Debian's Chromium, for pictures of it and for measuring it. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { root } from "./repository.ts";

const main = join(root, "dist/cli/main.js");
const flags =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync";
const patienceMs = 120_000;

export type Look = {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
};

/** A server and a browser that shows its page; closing ends both. */
export class BrowserPage {
  readonly page: Page;
  readonly #server: ChildProcess;
  readonly #context: BrowserContext;
  readonly #profile: string;

  private constructor(page: Page, server: ChildProcess, context: BrowserContext, profile: string) {
    this.page = page;
    this.#server = server;
    this.#context = context;
    this.#profile = profile;
  }

  /** @param args of `patchbay ui`, which is started in the folder `cwd`. */
  static async open(args: readonly string[], look: Look, cwd: string = root): Promise<BrowserPage> {
    const profile = mkdtempSync(join(tmpdir(), "patchbay-browser-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: "/usr/bin/chromium",
      headless: true,
      viewport: { width: look.width, height: look.height },
      colorScheme: look.scheme,
      args: flags.split(" "),
      timeout: patienceMs,
    });
    context.setDefaultTimeout(patienceMs);
    const server = spawn(process.execPath, [main, "ui", ...args], {
      stdio: ["ignore", "pipe", "ignore"],
      cwd,
    });
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(await firstLine(server));
    return new BrowserPage(page, server, context, profile);
  }

  /** Processor time that the server has used, all its threads together (proc(5), stat). */
  serverSeconds(): number {
    const stat = readFileSync(`/proc/${this.#server.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")")).split(" ").slice(12, 14);
    const [user = 0, system = 0] = fields.map(Number);
    return (user + system) / 100;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    const ended = new Promise((resolve) => this.#server.once("close", resolve));
    this.#server.kill("SIGINT");
    await ended;
    rmSync(this.#profile, { recursive: true, force: true });
  }
}

/** What a server prints first: its address. */
async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("the server has no output");
  for await (const line of createInterface({ input: stdout })) return line;
  throw new Error("the server ended before it gave its address");
}
