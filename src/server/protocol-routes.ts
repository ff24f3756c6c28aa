/** What can be asked about patching protocols. */
import type { Hono } from "hono";
import type { ProtocolService } from "./protocol-service.ts";
import { bodyText, bodyTexts, readBody } from "./request.ts";

const idLengthMax = 300;
const stepsLengthMax = 10_000;
/** More than the table has. */
const checksMax = 5000;

export function addProtocolRoutes(app: Hono, service: ProtocolService): void {
  app.get("/api/protocols", (context) => context.json(service.list()));
  app.post("/api/protocols/check", async (context) => {
    const body = await readBody(context);
    return context.json(service.check(bodyTexts(body, "ids", checksMax)));
  });
  app.post("/api/protocols/stop", async (context) => {
    await readBody(context);
    return context.json(await service.stop());
  });
  app.post("/api/protocols/trace", async (context) => {
    const id = bodyText(await readBody(context), "id", idLengthMax);
    return context.json({ trace: await service.trace(id) });
  });
  app.post("/api/protocols/own", async (context) => {
    const body = await readBody(context);
    const steps = (name: string): string => bodyText(body, name, stepsLengthMax);
    const answer = await service.own({
      basis: bodyText(body, "basis", idLengthMax),
      enable: steps("enable"),
      disable: steps("disable"),
      modify: steps("modify"),
      retire: steps("retire"),
    });
    return context.json(answer);
  });
}
