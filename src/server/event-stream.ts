/** Server-sent events (HTML standard, section 9.2) to every page that listens. */

const encoder = new TextEncoder();
/** A comment now and then shows that a connection is still there. */
const beatMs = 15_000;

export class EventStream {
  readonly #listeners = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #beat: NodeJS.Timeout;

  constructor() {
    this.#beat = setInterval(() => this.#write(": beat\n\n"), beatMs);
    this.#beat.unref();
  }

  /** How many pages listen. */
  get listeners(): number {
    return this.#listeners.size;
  }

  /** One event to all; its data as JSON. */
  send(name: string, data: unknown): void {
    this.#write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** A response's body for one more listener. */
  open(): ReadableStream<Uint8Array> {
    let own: ReadableStreamDefaultController<Uint8Array> | undefined;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        this.#listeners.add(controller);
        controller.enqueue(encoder.encode("event: hello\ndata: {}\n\n"));
      },
      cancel: () => {
        if (own !== undefined) this.#listeners.delete(own);
      },
    });
  }

  close(): void {
    clearInterval(this.#beat);
    for (const listener of this.#listeners) listener.close();
    this.#listeners.clear();
  }

  #write(text: string): void {
    const bytes = encoder.encode(text);
    for (const listener of this.#listeners) listener.enqueue(bytes);
  }
}
