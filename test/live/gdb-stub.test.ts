/** The client of the GDB remote protocol, held against stubs that we did not write. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ensure } from "../../src/base/assert.ts";
import { codeAddr } from "../../src/base/brand.ts";
import { aarch64 } from "../../src/codegen/aarch64/back-end.ts";
import { aarch64 as isa } from "../../src/isa/aarch64/isa.ts";
import { x } from "../../src/isa/aarch64/registers.ts";
import type { Arg } from "../../src/isa/aarch64/slots.ts";
import { Assembler } from "../../src/isa/assembler.ts";
import type * as Sockets from "../../src/os/stream-socket.ts";
import type * as Clients from "../../src/target/gdb/client.ts";
import { StubRegisters } from "../../src/target/gdb/registers.ts";
import { compile, patchbay, Running, tempDir, tracePath, until } from "./harness.ts";
import { countTrace } from "./trace-counts.ts";

// From the build that is under test: a process has one binding of the C library.
const built = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).href;
const { StreamSocket }: typeof Sockets = await import(built("os/stream-socket.js"));
const { GdbClient }: typeof Clients = await import(built("target/gdb/client.js"));

const waitMs = 60_000;
const options = ["threads=2", "calls=1000", "wait=0"];
/** AT_ENTRY. */
const entryKey = 9;

/** What every stub has to do; runs the program to its end. */
function expectGoodStub(client: Clients.GdbClient, pc: string, instructionBytes: number): void {
  expect(client.stop).toMatchObject({ kind: "stopped" });
  const [thread] = client.threads();
  if (thread === undefined) throw new Error("a program has a thread");
  expect([client.currentThread(), client.isAlive(thread)]).toEqual([thread, true]);
  const read = (): StubRegisters =>
    new StubRegisters(client.description, client.readRegisters(thread));

  const before = read().get(pc);
  client.resume({ action: "step", thread });
  expect(client.waitStop(waitMs)).toMatchObject({ kind: "stopped", signal: 5 });
  const stepped = read();
  expect(stepped.get(pc)).not.toBe(before);
  client.writeRegisters(thread, stepped.bytes);
  expect(read().get(pc)).toBe(stepped.get(pc));
  const place = client.description.registers.get(pc);
  if (place === undefined) throw new Error(`a register ${pc}`);
  const [low] = new BigUint64Array(client.readRegister(thread, place).slice().buffer);
  expect(low).toBe(stepped.get(pc));

  const entry = client.auxiliaryVector().get(entryKey) ?? 0n;
  client.insertBreakpoint(entry, instructionBytes);
  client.resume({ action: "continue" });
  expect(client.waitStop(waitMs)).toMatchObject({ kind: "stopped", signal: 5 });
  expect(read().get(pc)).toBe(entry);
  client.removeBreakpoint(entry, instructionBytes);

  // Below the stack pointer of a program that has not begun is nothing of its own.
  const sp = stepped.get(pc === "rip" ? "rsp" : "sp") - 4096n;
  const bytes = Uint8Array.from({ length: 1500 }, (_, index) => index & 0xff);
  client.writeMemory(sp, bytes);
  expect(client.readMemory(sp, bytes.length)).toEqual(bytes);
  expect(() => client.readMemory(8n, 8)).toThrow("read 8 bytes at 0x8: the stub says");

  client.resume({ action: "continue" });
  let stop = client.waitStop(waitMs);
  while (stop?.kind === "stopped") {
    client.resume({ action: "continue", signal: stop.signal });
    stop = client.waitStop(waitMs);
  }
  expect(stop).toEqual({ kind: "exited", status: 0 });
}

describe("the client of the GDB remote protocol", () => {
  it.each([
    ["aarch64", "2", 4],
    ["riscv64", "8,4", 4],
  ])("gets on with qemu-%s", async (machine, entry, bytes) => {
    const flags = ["-O2", "-g", `-fpatchable-function-entry=${entry}`];
    const program = compile("count.c", { compiler: `${machine}-linux-gnu-gcc`, flags });
    const place = join(tempDir(), "stub");
    const args = ["-g", place, "-L", `/usr/${machine}-linux-gnu`, program, ...options];
    const emulator = new Running(`qemu-${machine}`, args);
    await until("qemu listens", () => existsSync(place));
    using client = new GdbClient(() => new StreamSocket(place));
    expectGoodStub(client, "pc", bytes);
    expect(await emulator.line(/traced_leaf/)).toContain('"traced_last": 2');
  });

  it("gets on with gdbserver", async () => {
    const server = new Running("gdbserver", ["localhost:0", compile("count.c"), ...options]);
    await server.complaint(/Listening on port \d+/);
    const port = /port (\d+)/.exec(server.stderr)?.[1];
    using client = new GdbClient(() => new StreamSocket(`localhost:${port}`));
    expect(client.executable()).toContain("count");
    expect(client.transfer("libraries-svr4", "")?.length).toBeGreaterThan(0);
    // A stub that does not need the one connection keeps the program for the next.
    client.reconnect();
    expectGoodStub(client, "rip", 1);
  });

  it("reads and patches the memory of a machine, whose processors are its threads", async () => {
    const [folder, start] = [tempDir(), 0x4010_0000];
    const [loop, body, handler] = [start, start + 8, start + 16];
    const code = new Assembler<Arg>(isa, codeAddr(BigInt(start)));
    const [again, behind] = [code.bindNew(), code.label()];
    code.i("nop").i("nop").bind(behind).i("add", x(0), x(0), 1).i("b", again);
    code.i("add", x(1), x(1), 1).i("b", behind);
    const { bytes } = code.finish();
    writeFileSync(join(folder, "program"), bytes);
    const place = join(folder, "stub");
    const loaders = [`file=${join(folder, "program")},addr=${start},force-raw=on`];
    loaders.push(`addr=${start},cpu-num=0`);
    const machine = [
      "-M",
      "virt",
      "-cpu",
      "cortex-a57",
      "-smp",
      "2",
      "-nodefaults",
      "-display",
      "none",
    ];
    const stub = ["-S", "-gdb", `unix:${place},server=on,wait=off`];
    const devices = loaders.flatMap((loader) => ["-device", `loader,${loader}`]);
    const args = [...machine, ...stub, ...devices];
    const emulator = new Running("qemu-system-aarch64", args);
    await until("qemu listens", () => existsSync(place));
    using client = new GdbClient(() => new StreamSocket(place));
    expect(client.threads()).toHaveLength(2);
    const thread = ensure(client.threads()[0], "a processor");
    const read = (name: string): bigint =>
      new StubRegisters(client.description, client.readRegisters(thread)).get(name);
    expect(client.readMemory(BigInt(loop), bytes.length)).toEqual(bytes);
    expect(read("pc")).toBe(BigInt(loop));

    const rounds = (count: number): void => {
      client.insertBreakpoint(BigInt(body), 4);
      for (let i = 0; i < count; i++) {
        client.resume({ action: "continue" });
        expect(client.waitStop(waitMs)).toMatchObject({ kind: "stopped", signal: 5 });
        client.resume({ action: "step", thread });
        client.waitStop(waitMs);
      }
      client.removeBreakpoint(BigInt(body), 4);
    };
    rounds(2);
    expect([read("x0"), read("x1")]).toEqual([2n, 0n]);
    const window = new Uint8Array(8);
    aarch64.fillJump(loop, 8, handler, window, 0);
    client.writeMemory(BigInt(loop), window);
    rounds(3);
    expect([read("x0"), read("x1")]).toEqual([5n, 3n]);
    client.writeMemory(BigInt(loop), bytes.slice(0, 8));
    rounds(2);
    expect([read("x0"), read("x1")]).toEqual([7n, 3n]);
    emulator.child.kill("SIGKILL");
  });

  it("takes over a program that waits under qemu's stub", async () => {
    const flags = ["-O2", "-g", "-fpatchable-function-entry=2"];
    const program = compile("count.c", { compiler: "aarch64-linux-gnu-gcc", flags });
    const place = join(tempDir(), "stub");
    const args = ["-g", place, "-L", "/usr/aarch64-linux-gnu", program, ...options];
    const emulator = new Running("qemu-aarch64", args);
    await until("qemu listens", () => existsSync(place));
    const directory = tracePath();
    const { status } = await patchbay("record", "-o", directory, "-F", "traced_*", "--gdb", place);
    expect([status, await emulator.ended]).toEqual([0, { status: 0, signal: null }]);
    const own: Readonly<Record<string, number>> = JSON.parse(await emulator.line(/^\{/));
    const calls = Object.values(own).reduce((a, b) => a + b, 0);
    expect(countTrace(directory)).toMatchObject({ entries: calls, exits: calls, lost: 0 });
    expect(readFileSync(join(directory, "metadata"), "utf8")).toContain("aarch64");
  });
});
