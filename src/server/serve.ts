/** The server behind `patchbay ui`: on this machine's own address, for whoever has the token. */
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { PatchbayError } from "../base/error.ts";
import { makeApp } from "./app.ts";
import { EventStream } from "./event-stream.ts";
import { ProtocolService } from "./protocol-service.ts";
import { TraceService } from "./trace-service.ts";

export type ServeOptions = {
  /** A trace's directory. */
  readonly trace?: string | undefined;
  /** 0, or without it: any that is free. */
  readonly port?: number | undefined;
};

export type UiServer = {
  /** What to open in a browser, token included. */
  readonly url: string;
  close(): Promise<void>;
};

const address = "127.0.0.1";

/** Starts it; whoever did so closes it. */
export async function serveUi(options: ServeOptions): Promise<UiServer> {
  const token = randomBytes(24).toString("base64url");
  const events = new EventStream();
  const trace =
    options.trace === undefined
      ? undefined
      : await TraceService.open(options.trace, (name, data) => events.send(name, data));
  const protocols = new ProtocolService((name, data) => events.send(name, data));
  let port = 0;
  const about = { trace: options.trace, pid: undefined };
  const app = makeApp({ token, port: () => port, about, events, trace, protocols });
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer((request, response) => void listener(request, response));
  const close = async (): Promise<void> => {
    events.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await Promise.all([trace?.close(), protocols.close()]);
  };
  try {
    port = await listen(server, options.port ?? 0);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://${address}:${port}/?token=${token}`, close };
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
