/** A server with a bug, fixes for it, and clients that judge its answers: see `versions.c`. */
import { connect, type Socket } from "node:net";
import { compile, run, Target } from "./harness.ts";

export const sites: readonly string[] = ["-O2", "-g", "-fpatchable-function-entry=5"];
export const plain: readonly string[] = ["-O2", "-g"];
const clientCount = 4;

/** A fix, compiled from a fixture. */
export const compileFix = (name: string): string => {
  const path = compile(name, { flags: ["-O2", "-g"], more: ["-shared", "-fPIC"] });
  run("cp", [path, `${path}.so`]);
  return `${path}.so`;
};

type Version = "old" | "new";

/** Which version both numbers of an answer are of; undefined when none. */
function versionOf(x: number, price: number, tax: number): Version | undefined {
  if (price === x * 2 && tax === Math.floor(x / 4)) return "new";
  if (price === x * 2 + 1 && tax === Math.floor(x / 4) + 1) return "old";
  return undefined;
}

/** Clients that ask one question after the other, and judge the answers. */
export class Clients {
  answers = 0;
  readonly wrong: string[] = [];
  /** What answers have to be that are asked for and given while this is set. */
  expected: Version | undefined = "old";
  readonly #sockets: readonly Socket[];
  #epoch = 0;
  #isEnding = false;
  readonly #ended: readonly Promise<void>[];

  constructor(port: number) {
    this.#sockets = Array.from({ length: clientCount }, () => connect(port, "127.0.0.1"));
    this.#ended = this.#sockets.map((socket) => this.#run(socket));
  }

  expect(version: Version | undefined): void {
    this.#epoch++;
    this.expected = version;
  }

  async #run(socket: Socket): Promise<void> {
    socket.setNoDelay(true);
    let pending = Buffer.alloc(0);
    let notify: () => void = () => undefined;
    socket.on("data", (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      notify();
    });
    socket.on("error", (error) => this.wrong.push(String(error)));
    for (let x = 0; !this.#isEnding; x = (x + 7) % 1_000_000) {
      const { expected } = this;
      const epoch = this.#epoch;
      const question = Buffer.alloc(4);
      question.writeUInt32LE(x);
      socket.write(question);
      while (pending.length < 8) {
        await new Promise<void>((resolve) => {
          notify = resolve;
        });
      }
      const [price, tax] = [pending.readUInt32LE(0), pending.readUInt32LE(4)];
      pending = pending.subarray(8);
      const version = versionOf(x, price, tax);
      const isSteady = epoch === this.#epoch && expected !== undefined;
      if (version === undefined || (isSteady && version !== expected)) {
        this.wrong.push(`${x} ${price} ${tax}: ${version}, expected ${expected}`);
      }
      this.answers++;
    }
    socket.end();
  }

  async finish(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#ended);
  }

  /** Waits until each client has got some more answers. */
  async more(count: number): Promise<void> {
    const wanted = this.answers + count;
    while (this.answers < wanted) await new Promise((resolve) => setImmediate(resolve));
  }
}

export async function startServer(
  flags: readonly string[],
): Promise<{ readonly target: Target; readonly port: number }> {
  const target = await Target.run(compile("versions.c", { flags }));
  const port = Number((await target.line(/^ready/)).split(" ")[1]);
  return { target, port };
}
