/**
 * Reading requests: every value is checked for what it has to be before anything is done, and what
 * is wrong is said in one line.
 */
import type { Context } from "hono";
import { PatchbayError } from "../base/error.ts";

/** Longest body that is read, in bytes. */
const bodyBytesMax = 256 << 10;

export const badRequest = (doing: string, why: string): PatchbayError =>
  new PatchbayError({ code: "bad-usage", doing, why });

/** JSON that was sent: objects by name, everything else as it is. */
export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A number of the query, whole unless `fraction` is set. */
export function queryNumber(
  context: Context,
  name: string,
  range: { readonly min: number; readonly max: number; readonly fraction?: boolean },
): number {
  const text = context.req.query(name) ?? "";
  const value = /^-?\d{1,17}(\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN;
  const isWhole = range.fraction === true || Number.isInteger(value);
  if (isWhole && value >= range.min && value <= range.max) return value;
  throw badRequest(`read ${name}`, `it is no number from ${range.min} to ${range.max}`);
}

/** Whole numbers with commas between them; none where it is absent. */
export function queryNumbers(context: Context, name: string, countMax: number): number[] {
  const text = context.req.query(name) ?? "";
  if (text === "") return [];
  const parts = text.split(",");
  if (parts.length > countMax || !parts.every((part) => /^\d{1,8}$/.test(part))) {
    throw badRequest(`read ${name}`, `it is no list of at most ${countMax} whole numbers`);
  }
  return parts.map(Number);
}

/** The body of a request that changes something: a JSON object, sent as such. */
export async function readBody(context: Context): Promise<JsonObject> {
  const doing = "read the request";
  const type = context.req.header("content-type") ?? "";
  if (!/^application\/json(;|$)/.test(type)) throw badRequest(doing, "it is not JSON");
  if (Number(context.req.header("content-length") ?? 0) > bodyBytesMax) {
    throw badRequest(doing, "it is too long");
  }
  const text = await readText(context, doing);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest(doing, "it is no JSON");
  }
  if (!isObject(value)) throw badRequest(doing, "it is no JSON object");
  return value;
}

/** The body as text; reading stops where it is too long. */
async function readText(context: Context, doing: string): Promise<string> {
  const reader = context.req.raw.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.byteLength;
    if (length > bodyBytesMax) {
      await reader.cancel();
      throw badRequest(doing, "it is too long");
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** A text of a body, of at most so many characters. */
export function bodyText(body: JsonObject, name: string, lengthMax: number): string {
  const value = body[name];
  if (typeof value === "string" && value.length <= lengthMax) return value;
  throw badRequest(`read ${name}`, `it is no text of at most ${lengthMax} characters`);
}

/** Texts of a body; none where the name is absent. */
export function bodyTexts(body: JsonObject, name: string, countMax: number): readonly string[] {
  const value = body[name] ?? [];
  const isFine =
    Array.isArray(value) &&
    value.length <= countMax &&
    value.every((one) => typeof one === "string" && one.length > 0 && one.length <= 1000);
  if (isFine) return value;
  throw badRequest(`read ${name}`, `it is no list of at most ${countMax} texts`);
}

export function bodyFlag(body: JsonObject, name: string): boolean {
  const value = body[name];
  if (typeof value === "boolean") return value;
  throw badRequest(`read ${name}`, "it is neither true nor false");
}
