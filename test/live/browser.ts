/**
 * What the tests of the browser's view share: the server as a user starts it, requests to it that a
 * browser would not make, and Debian's Chromium with the page in it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { type Running, startPatchbay } from "./harness.ts";

/** A server of `patchbay ui`. */
export type Ui = {
  readonly url: URL;
  readonly token: string;
  readonly server: Running;
};

export async function startUi(...args: readonly string[]): Promise<Ui> {
  const server = startPatchbay("ui", ...args);
  const url = new URL(await server.line(/^http:/));
  return { url, token: url.searchParams.get("token") ?? "", server };
}

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
};

export type Asked = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Without it, the right one. */
  readonly token?: string | undefined;
};

/** A request with any headers, as programs make them. */
export function ask(ui: Ui, path: string, asked: Asked = {}): Promise<Answer> {
  const { method = "GET", headers = {}, body } = asked;
  const token = "token" in asked ? asked.token : ui.token;
  const own = token === undefined ? {} : { "x-patchbay-token": token };
  return new Promise((resolve, reject) => {
    const options = {
      method,
      path,
      headers: { ...own, ...headers },
      setHost: !("host" in headers),
    };
    const sent = request({ host: ui.url.hostname, port: ui.url.port, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const chromiumPath = "/usr/bin/chromium";
const flags =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync";

export type Size = { readonly width: number; readonly height: number };

/** A browser without a past; closed when the test has finished. */
export async function startBrowser(
  size: Size = { width: 1280, height: 800 },
  colorScheme: "light" | "dark" = "light",
): Promise<BrowserContext> {
  const profile = mkdtempSync(join(tmpdir(), "patchbay-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    headless: true,
    viewport: size,
    colorScheme,
    args: flags.split(" "),
    timeout: 60_000,
  });
  context.setDefaultTimeout(60_000);
  onTestFinished(async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  });
  return context;
}

/** The page of a server; the test fails where it complains or asks for anything from elsewhere. */
export async function openPage(context: BrowserContext, { url }: Ui): Promise<Page> {
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (sent) => {
    const { protocol, origin } = new URL(sent.url());
    if (protocol !== "blob:" && origin !== url.origin) complaints.push(`asked ${sent.url()}`);
  });
  await page.goto(url.href);
  onTestFinished(() => expect(complaints).toEqual([]));
  return page;
}
