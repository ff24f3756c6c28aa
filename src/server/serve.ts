/** The server behind `patchbay ui`: on this machine's own address, for whoever has the token. */
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { PatchbayError } from "../base/error.ts";
import { type AppParts, makeApp } from "./app.ts";
import { EventStream } from "./event-stream.ts";
import { LiveService } from "./live-service.ts";
import { ProtocolService } from "./protocol-service.ts";
import { TraceService } from "./trace-service.ts";

export type ServeOptions = {
  /** A trace's directory. */
  readonly trace?: string | undefined;
  /** A process to look into, and where recordings of it go. */
  readonly pid?: number | undefined;
  readonly directory?: string | undefined;
  /** 0, or without it: any that is free. */
  readonly port?: number | undefined;
};

export type UiServer = {
  /** What to open in a browser, token included. */
  readonly url: string;
  close(): Promise<void>;
};

const address = "127.0.0.1";

/** How often pages hear of a running process, in ms. */
const sampleMs = 500;

/** Starts it; whoever did so closes it. */
export async function serveUi(options: ServeOptions): Promise<UiServer> {
  const token = randomBytes(24).toString("base64url");
  const services = new Services();
  let port = 0;
  let app: Hono | undefined;
  const answer = getRequestListener(
    (request) => app?.fetch(request) ?? new Response(null, { status: 503 }),
    { overrideGlobalObjects: false },
  );
  const server = createServer((request, response) => void answer(request, response));
  const close = async (): Promise<void> => {
    services.events.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await services.close();
  };
  try {
    await services.open(options);
    app = makeApp({ token, port: () => port, ...services.parts() });
    port = await listen(server, options.port ?? 0);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://${address}:${port}/?token=${token}`, close };
}

/** What stands behind the routes. */
class Services {
  readonly events: EventStream = new EventStream();
  readonly #protocols = new ProtocolService((name, data) => this.events.send(name, data));
  #trace: TraceService | undefined;
  #live: LiveService | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSampling = false;

  async open({ trace, pid, directory = "patchbay-trace" }: ServeOptions): Promise<void> {
    if (trace !== undefined) await this.openTrace(trace);
    if (pid === undefined) return;
    this.#live = await LiveService.open(pid, directory);
    this.#timer = setInterval(() => void this.#sample(), sampleMs);
  }

  parts(): Omit<AppParts, "token" | "port"> {
    return {
      about: () => ({ trace: this.#trace?.path, pid: this.#live?.pid }),
      events: this.events,
      trace: () => this.#trace,
      openTrace: (path) => this.openTrace(path),
      live: this.#live,
      protocols: this.#protocols,
    };
  }

  async openTrace(path: string): Promise<void> {
    const before = this.#trace;
    this.#trace = await TraceService.open(path, (name, data) => this.events.send(name, data));
    await before?.close();
    this.events.send("opened", { trace: path });
  }

  /** Tells pages how the process is, if any look. */
  async #sample(): Promise<void> {
    if (this.#live === undefined || this.events.listeners === 0 || this.#isSampling) return;
    this.#isSampling = true;
    try {
      this.events.send("live", await this.#live.sample());
    } catch (error) {
      // It is ending, or being changed: the next look tells.
      if (!(error instanceof PatchbayError)) throw error;
    } finally {
      this.#isSampling = false;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([this.#live?.close(), this.#trace?.close(), this.#protocols.close()]);
  }
}

/** The port that it listens on. */
function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "the port is in use" : error.message;
      const hint = "without --port, one that is free is taken";
      reject(new PatchbayError({ code: "io", doing: `listen on port ${port}`, why, hint }));
    });
    server.listen(port, address, () => {
      const bound = server.address();
      resolve(typeof bound === "object" && bound !== null ? bound.port : port);
    });
  });
}
