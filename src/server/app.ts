/** The routes: what can be asked, and who answers. */
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Context, Hono } from "hono";
import { PatchbayError } from "../base/error.ts";
import type { About, ApiError } from "./api.ts";
import type { EventStream } from "./event-stream.ts";
import { refuseForeign, requireToken, withHeaders } from "./guard.ts";
import { addLiveRoutes } from "./live-routes.ts";
import type { LiveService } from "./live-service.ts";
import { addProtocolRoutes } from "./protocol-routes.ts";
import type { ProtocolService } from "./protocol-service.ts";
import { addTraceRoutes } from "./trace-routes.ts";
import type { TraceService } from "./trace-service.ts";

export type AppParts = {
  readonly token: string;
  /** The port that the server listens on, once it does. */
  readonly port: () => number;
  readonly about: () => About;
  readonly events: EventStream;
  readonly trace: () => TraceService | undefined;
  /** Opens another trace in place of the one that is open. */
  readonly openTrace: (path: string) => Promise<void>;
  readonly live: LiveService | undefined;
  readonly protocols: ProtocolService;
};

const pageFolder = fileURLToPath(new URL("../ui/", import.meta.url));

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** What a failure is in HTTP; everything else is a 500. */
const statuses: Readonly<Partial<Record<string, 400 | 404 | 409>>> = {
  "bad-usage": 400,
  "no-match": 404,
  unsupported: 409,
};

export function makeApp(parts: AppParts): Hono {
  const app = new Hono();
  app.use(withHeaders);
  app.use(refuseForeign(parts.port));
  // The page's files hold no secret; a browser that follows their links sends no token.
  app.get("/assets/:name{[A-Za-z0-9._-]+}", (context) =>
    sendFile(context, `assets/${context.req.param("name")}`),
  );
  app.use(requireToken(parts.token));
  app.get("/", (context) => sendFile(context, "index.html"));
  app.get("/api/about", (context) => context.json(parts.about()));
  app.get("/api/events", (context) =>
    context.body(parts.events.open(), 200, { "content-type": "text/event-stream" }),
  );
  addTraceRoutes(app, parts.trace);
  addProtocolRoutes(app, parts.protocols);
  addLiveRoutes(app, parts.live, parts.openTrace);
  app.notFound((context) =>
    context.json({ error: "there is nothing here", code: "no-match" } satisfies ApiError, 404),
  );
  app.onError((error, context) => {
    if (error instanceof PatchbayError) {
      const body: ApiError = { error: error.message, code: error.code };
      return context.json(body, statuses[error.code] ?? 500);
    }
    process.stderr.write(`patchbay: ${error.stack ?? error.message}\n`);
    return context.json({ error: "the server failed", code: "system" } satisfies ApiError, 500);
  });
  return app;
}

function sendFile(context: Context, name: string): Response | Promise<Response> {
  const type = types[extname(name)];
  try {
    if (type === undefined) return context.notFound();
    const bytes = readFileSync(join(pageFolder, name));
    return context.body(Uint8Array.from(bytes), 200, { "content-type": type });
  } catch {
    return context.notFound();
  }
}
