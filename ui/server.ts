/** Asking the server: with the token of the page's address, errors as one line. */
import type { ApiError, ServerEvents } from "../src/server/api.ts";

const token = new URLSearchParams(location.search).get("token") ?? "";
const headers = { "x-patchbay-token": token };

/** What the server answered instead, or why it can't be reached. */
export class ServerError extends Error {}

const isApiError = (value: unknown): value is ApiError =>
  typeof value === "object" && value !== null && "error" in value;

type Init = Omit<RequestInit, "headers"> & { readonly headers?: Record<string, string> };

async function ask(path: string, init: Init = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { ...headers, ...init.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ServerError("the server can't be reached: has patchbay ui ended?");
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => undefined);
  throw new ServerError(isApiError(body) ? body.error : `the server said ${response.status}`);
}

/** A query's text: lists with commas, absent values left out. */
export const query = (
  values: Readonly<Record<string, string | number | readonly number[] | undefined>>,
): string =>
  Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join("&");

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, signal === undefined ? {} : { signal });
  return await response.json();
}

export async function getBytes(path: string): Promise<ArrayBuffer> {
  return await (await ask(path)).arrayBuffer();
}

export async function postJson<T>(path: string, body: unknown): Promise<T> {
  const init = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  return await (await ask(path, init)).json();
}

/** Address of something to download. */
export const downloadUrl = (path: string, values: Parameters<typeof query>[0]): string =>
  `${path}?${query({ ...values, token })}`;

type Listener = (text: string) => void;
const listeners = new Map<string, Set<Listener>>();

/** Hears of a kind of event from now on; call what it gives to end that. */
export function listen<N extends keyof ServerEvents>(
  name: N,
  listener: (data: ServerEvents[N]) => void,
): () => void {
  const own = listeners.get(name) ?? new Set<Listener>();
  listeners.set(name, own);
  // The server's types are the page's: both are built from one source.
  const read: Listener = (text) => listener(JSON.parse(text));
  own.add(read);
  return () => own.delete(read);
}

const retryMs = 1000;

/** Reads the server's events for as long as the page lives. `onState` hears whether it is there. */
export async function readEvents(onState: (isThere: boolean) => void): Promise<never> {
  for (;;) {
    try {
      const { body } = await ask("/api/events");
      onState(true);
      if (body !== null) await readStream(body);
    } catch (error) {
      if (!(error instanceof ServerError) && !(error instanceof TypeError)) throw error;
    }
    onState(false);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

async function readStream(body: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) deliver(part);
  }
}

function deliver(text: string): void {
  const found = /^event: (.*)\ndata: (.*)$/s.exec(text);
  if (found === null) return;
  for (const listener of listeners.get(found[1] ?? "") ?? []) listener(found[2] ?? "null");
}
