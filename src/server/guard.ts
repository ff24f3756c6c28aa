/**
 * Who may ask: the page that this server gave out, with the token that is in its address. A page of
 * somebody else's in the same browser knows no token, comes with another Origin, and under another
 * Host if it plays with names (DNS rebinding).
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { ApiError } from "./api.ts";

/** Where the token comes: this header, or the query's `token` where a browser follows a link. */
export const tokenHeader = "x-patchbay-token";

/** Nothing but this server's own files, in no one else's frame. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers: Readonly<Record<string, string>> = {
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cache-control": "no-store",
};

const refusal = (error: string, code: string): ApiError => ({ error, code });

/** Equal, in a time that does not depend on where they differ. */
export function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Puts the headers above on every answer, refusals included. */
export const withHeaders: MiddlewareHandler = async (context, next) => {
  await next();
  for (const [name, value] of Object.entries(headers)) context.header(name, value);
};

/** Refuses requests that were not made for this server, or by a page of another one. */
export function refuseForeign(port: () => number): MiddlewareHandler {
  return async (context, next) => {
    const hosts = [`127.0.0.1:${port()}`, `localhost:${port()}`];
    const host = context.req.header("host") ?? "";
    if (!hosts.includes(host)) {
      return context.json(refusal("this server is reached as 127.0.0.1 alone", "host"), 403);
    }
    const origin = context.req.header("origin");
    if (origin !== undefined && !hosts.some((name) => origin === `http://${name}`)) {
      return context.json(refusal("requests of other pages are refused", "origin"), 403);
    }
    const site = context.req.header("sec-fetch-site") ?? "none";
    if (site !== "same-origin" && site !== "none") {
      return context.json(refusal("requests of other pages are refused", "origin"), 403);
    }
    return await next();
  };
}

/** Refuses requests without the token. */
export function requireToken(token: string): MiddlewareHandler {
  return async (context, next) => {
    const given = context.req.header(tokenHeader) ?? context.req.query("token") ?? "";
    if (isSameSecret(given, token)) return await next();
    const text = "the token is missing or wrong: open the address that patchbay ui printed";
    return context.json(refusal(text, "token"), 401);
  };
}
