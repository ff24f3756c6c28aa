/** What can be asked about a running process, and what can be changed in it. */
import type { Hono } from "hono";
import { PatchbayError } from "../base/error.ts";
import type { LiveFilter } from "./live-api.ts";
import type { LiveService } from "./live-service.ts";
import {
  badRequest,
  bodyFlag,
  bodyTexts,
  type JsonObject,
  queryNumber,
  readBody,
} from "./request.ts";

const wordsMax = 5000;

export function addLiveRoutes(
  app: Hono,
  service: LiveService | undefined,
  openTrace: (path: string) => Promise<void>,
): void {
  const live = (): LiveService => {
    if (service !== undefined) return service;
    const why = "none is looked into here";
    const hint = "patchbay ui -p PID does";
    throw new PatchbayError({ code: "no-match", doing: "look into a process", why, hint });
  };
  app.get("/api/live", (context) => context.json(live().functions()));
  app.get("/api/live/state", async (context) => context.json(await live().state()));
  app.get("/api/live/histogram", async (context) => {
    const site = queryNumber(context, "site", { min: 0, max: 2 ** 24 });
    return context.json(await live().histogram(site));
  });
  app.post("/api/live/watch", async (context) => {
    const body = await readBody(context);
    const filter = filterOf(body);
    const times = bodyFlag(body, "times");
    return context.json(await live().watch(filter, times));
  });
  app.post("/api/live/record", async (context) => {
    const filter = filterOf(await readBody(context));
    return context.json(await live().record(filter));
  });
  app.post("/api/live/open", async (context) => {
    await readBody(context);
    const { trace } = await live().state();
    if (trace === undefined) throw badRequest("open the recording", "there is none that has ended");
    await openTrace(trace);
    return context.json({ trace });
  });
}

/** What is to be switched on; undefined for nothing. */
function filterOf(body: JsonObject): LiveFilter | undefined {
  if (!bodyFlag(body, "on")) return undefined;
  const words = (name: string): readonly string[] => {
    const list = bodyTexts(body, name, wordsMax);
    const odd = list.find((word) => /\s/.test(word));
    if (odd === undefined) return list;
    throw badRequest(`read ${name}`, "a word has no spaces in it");
  };
  return { include: words("include"), exclude: words("exclude") };
}
