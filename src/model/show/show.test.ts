import { describe, expect, it } from "vitest";
import { checkId } from "../../patch/protocol.ts";
import { p5 } from "../../patch/protocols/p5-auipc-replay.ts";
import { p7 } from "../../patch/protocols/p7-int3.ts";
import { runCheck } from "../check.ts";
import { traceToHtml } from "./lanes-html.ts";
import { traceToSvg } from "./lanes-svg.ts";
import { traceToText } from "./lanes-text.ts";
import { replay } from "./replay.ts";

const traceOf = (checks: typeof p5.checks, id: string) => {
  const check = checks.find((c) => checkId(c) === id);
  if (check === undefined) throw new Error(`no check ${id}`);
  return replay(runCheck(check));
};

const torn = traceOf(p7.checks, "P7/tail-first x86-64/nop5-call strong");

describe("replay", () => {
  it("ends with the violation, and has memory after every step", () => {
    expect(torn.violation).toBe("executed an instruction that nobody wrote");
    expect(torn.steps.length).toBeGreaterThan(2);
    const [site] = torn.steps.at(-1)?.memory.sites ?? [];
    expect(site?.lines[0]?.bytes.split(" ")[0]).toBe("0f");
    expect(torn.before.sites[0]?.lines).toHaveLength(1);
  });

  it("shows whose hart does what", () => {
    const trace = traceOf(p5.checks, "P5/replay riscv64/auipc-pair riscv-ziccif modify");
    const lanes = new Set(trace.steps.map(({ lane }) => lane));
    expect(lanes).toEqual(new Set(["hart 0", "memory", "hart 1"]));
    const last = trace.steps.at(-1);
    expect(last?.lane).toBe("hart 1");
    expect(last?.text).toMatch(/jalr t0, .*where nothing is/);
  });
});

describe("traceToText", () => {
  it("draws a column per hart and one for memory", () => {
    expect(traceToText(torn, 120)).toMatchInlineSnapshot(`
      "P7/tail-first: the tail before int3; one 5-byte no-op <-> call rel32; on strong

      at first:
        site 1  0x100000: 0f 1f 44 00 00 nop dword ptr [rax + rax]

           hart 0: patcher                       memory                                hart 1
           ------------------------------------  ------------------------------------  ------------------------------------
        2  traps mean new
        3  writes 3b 23 71 01 at 0x100001
        4                                                                              calls function 1
        5                                                                              0x100000: 0f 3b 44 00 00 90  (no
                                                                                         instruction)

      => executed an instruction that nobody wrote

      memory then:
        site 1  0x100000: 0f           ?
        site 1  0x100001: 3b 44 00 00  cmp eax, dword ptr [rax + rax]
      "
    `);
  });

  it("keeps every line inside of the page", () => {
    const trace = traceOf(p5.checks, "P5/replay riscv64/auipc-pair riscv-ziccif modify");
    const [, ...lines] = traceToText(trace, 110).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(110);
  });
});

describe("pictures", () => {
  it("escape what they show, and need nothing from elsewhere", () => {
    const odd = { ...torn, title: '<script>&"' };
    const svg = traceToSvg(odd);
    expect(svg).toContain("&lt;script&gt;&amp;&quot;");
    expect(svg.match(/<text/g)?.length).toBeGreaterThan(torn.steps.length / 2);
    const html = traceToHtml(odd);
    expect(html).not.toContain("<h1><script>");
    expect(html).not.toMatch(/https?:\/\//);
  });
});
