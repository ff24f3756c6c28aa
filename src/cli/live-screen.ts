/** A screen on the terminal that is redrawn, and the keys that are pressed meanwhile. */
import { writePiece } from "./output.ts";

const esc = "\x1b[";
/** The other screen, without a cursor; lines that are too long end at its edge. */
const enter = `${esc}?1049h${esc}?25l${esc}?7l`;
const leave = `${esc}?7h${esc}?25h${esc}?1049l`;
const home = `${esc}H`;
const clearLine = `${esc}K`;
const clearBelow = `${esc}J`;

/** The keys in what a terminal sent: a character, or the escape sequence of a key without one. */
function* keysOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const [sequence] = /^\[[0-9;]*[A-Za-z~]/.exec(text.slice(at + 1)) ?? [];
    const key =
      text.startsWith("\x1b", at) && sequence !== undefined ? `\x1b${sequence}` : text[at];
    yield key ?? "";
    at += key?.length ?? 1;
  }
}

export class LiveScreen {
  readonly #onKey: (key: string) => void;

  /** Takes the terminal over; with keys only where `keys` says so. */
  constructor(keys: boolean, onKey: (key: string) => void) {
    this.#onKey = onKey;
    writePiece(process.stdout.fd, enter);
    if (!keys || !process.stdin.isTTY) return;
    process.stdin.setRawMode(true).setEncoding("utf8").on("data", this.#onData).resume();
  }

  readonly #onData = (text: string): void => {
    for (const key of keysOf(text)) this.#onKey(key);
  };

  get columns(): number {
    return process.stdout.columns ?? 80;
  }

  get lines(): number {
    return process.stdout.rows ?? 24;
  }

  /** Shows these lines; false when nobody looks on any more. */
  draw(lines: readonly string[]): boolean {
    const text = lines.map((line) => `${line}${clearLine}`).join("\r\n");
    return writePiece(process.stdout.fd, `${home}${text}${clearBelow}`);
  }

  /** Gives the terminal back as it was. */
  [Symbol.dispose](): void {
    if (process.stdin.isTTY) {
      process.stdin.off("data", this.#onData).setRawMode(false).pause();
    }
    writePiece(process.stdout.fd, leave);
  }
}
