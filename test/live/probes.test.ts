/** Static probes (USDT): passed as often as the program says, which listens for listeners. */
import { describe, expect, it } from "vitest";
import {
  api,
  compile,
  patchbay,
  run,
  startRecording,
  Target,
  tracePath,
  until,
} from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const rounds = 20_000;
/** What `leaf` adds up over all rounds. */
const sum = 105 * ((rounds * (rounds - 1)) / 2);

const program = (): string => compile("probes.c", { flags: ["-O2", "-g"] });

/** Lets the program run; how often its guarded probe was passed. */
async function passed(target: Target): Promise<number | undefined> {
  target.send(String(rounds));
  const own = await target.numbers();
  expect(own).toMatchObject({ "demo.step@usdt": 2 * rounds, sum });
  return own["demo.guarded@usdt"];
}

describe("static probes", () => {
  it("are recorded each time, and those that are guarded while they are traced", async () => {
    const target = await Target.start(program());
    expect(await passed(target)).toBe(0);
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const filter = { include: ["demo.*@usdt"] };
    const recording = await session.record({ directory, filter, probes: true });
    const guarded = await passed(target);
    expect(guarded).toBe(2 * rounds);
    const { refused, lost } = await recording.stop();
    expect({ refused, lost }).toEqual({ refused: [], lost: 0 });
    expect(await passed(target)).toBe(0);
    expect(changedTextBytes(target.pid)).toBe(0);
    const { functions } = countTrace(directory);
    const entries = { entries: 2 * rounds, exits: 0, unwound: 0 };
    expect(Object.fromEntries(functions)).toEqual({
      "demo.step@usdt": entries,
      "demo.guarded@usdt": entries,
    });
  });

  it("are not listened to any more when the tracer is killed", async () => {
    const target = await Target.start(program());
    const args = ["-o", tracePath(), "--probes", "-F", "demo.*@usdt", "-p", String(target.pid)];
    const tracer = await startRecording(...args);
    expect(await passed(target)).toBe(2 * rounds);
    tracer.child.kill("SIGKILL");
    await tracer.ended;
    await until("the text is back", () => changedTextBytes(target.pid) === 0);
    expect(await passed(target)).toBe(0);
  });

  it("are where readelf says", async () => {
    const listing = JSON.parse((await patchbay("sites", "--probes", "--json", program())).stdout);
    const listed = listing.sites.map(({ address }: { address: string }) => BigInt(address));
    const notes = run("readelf", ["-nW", program()]);
    const places = [...notes.matchAll(/Location: (0x[0-9a-f]+)/g)].map(([, at]) => BigInt(at ?? 0));
    expect(new Set(listed)).toEqual(new Set(places));
    expect(places.length).toBe(2);
  });
});
