/** What a program calls in its libraries is seen at its own linkage table, call by call. */
import { describe, expect, it } from "vitest";
import { api, type Build, compile, patchbay, run, Target, tracePath } from "./harness.ts";
import { changedTextBytes } from "./process-state.ts";
import { countTrace } from "./trace-counts.ts";

const flags = ["-O2", "-fno-builtin"];
const builds: Readonly<Record<string, Build>> = {
  "bound at once": { flags: [...flags, "-Wl,-z,now"] },
  "bound lazily": { flags: [...flags, "-no-pie", "-Wl,-z,lazy"] },
  "behind endbr64": { flags: [...flags, "-fcf-protection", "-Wl,-z,ibtplt"] },
  "linked by lld": { compiler: "clang", flags: [...flags, "-fuse-ld=lld"] },
};
/** They return twice, or not here. */
const withoutExit = ["_setjmp@plt", "longjmp@plt"];

describe("calls of libraries' functions", () => {
  it.each(Object.entries(builds))("are all seen: %s", async (_, build) => {
    const target = await Target.start(compile("libcalls.c", build));
    const directory = tracePath();
    await using session = await api.attach(target.pid);
    const recording = await session.record({ directory, libcalls: true });
    target.send("5000");
    const own = await target.numbers();
    const { refused, lost } = await recording.stop();
    expect({ refused, lost }).toEqual({ refused: [], lost: 0 });
    expect(changedTextBytes(target.pid)).toBe(0);
    const { functions } = countTrace(directory);
    for (const [name, entries] of Object.entries(own)) {
      const exits = withoutExit.includes(name) ? 0 : entries;
      expect([name, functions.get(name)]).toEqual([name, { entries, exits, unwound: 0 }]);
    }
    target.send("1000");
    expect((await target.numbers())["wrong"]).toBeUndefined();
  });

  it("are listed as the disassembler names them", async () => {
    const program = compile("libcalls.c", { flags });
    const listing = JSON.parse((await patchbay("sites", "--libcalls", "--json", program)).stdout);
    const names = listing.sites.map(({ symbol }: { symbol: string }) => symbol);
    const shown = run("objdump", ["-d", "-j", ".plt", "-j", ".plt.got", program]);
    const expected = [...shown.matchAll(/<([^>]+@plt)>:/g)].map(([, name]) => name);
    expect(new Set(names)).toEqual(new Set(expected));
  });
});
