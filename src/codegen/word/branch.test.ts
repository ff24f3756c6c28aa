import { describe, expect, it } from "vitest";
import { codeAddr } from "../../base/brand.ts";
import { aarch64 } from "../../isa/aarch64/isa.ts";
import { riscv64 } from "../../isa/riscv/isa.ts";
import { twoNops } from "../../patch/aarch64-layouts.ts";
import { fourCNops } from "../../patch/riscv-layouts.ts";
import { setBranch as setArm } from "../aarch64/branch.ts";
import { setBranch as setRiscv } from "../riscv/branch.ts";

const viewOf = (...words: readonly number[]): DataView =>
  new DataView(Uint32Array.from(words).buffer);
const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer);

const bl = 0x9400_0000;
const auipcT0 = 0x0000_0297;
const jalrT0 = 0x0002_82e7;

/** Where the pair in `view` leads, from its own place. */
function pairDistance(view: DataView): number {
  const [auipc, jalr] = [riscv64.decode(bytesOf(view), 0), riscv64.decode(bytesOf(view), 4)];
  return (auipc?.operands["imm"] ?? 0) + (jalr?.operands["imm"] ?? 0);
}

describe("branches that are filled in", () => {
  it.each([0, 4, -4, 2 ** 27 - 4, -(2 ** 27)])("reach %d bytes on AArch64", (distance) => {
    const view = viewOf(bl);
    setArm(view, 0, distance);
    const insn = aarch64.decode(bytesOf(view), 0);
    expect(insn).toMatchObject({ mnemonic: "bl", operands: { offset: distance } });
  });

  it.each([2 ** 27, -(2 ** 27) - 4, 2])("do not reach %d bytes on AArch64", (distance) => {
    expect(() => setArm(viewOf(bl), 0, distance)).toThrow("branches reach");
  });

  it.each([0, 4, -4, 2046, 2048, -2048, -2050, 2 ** 31 - 2050, -(2 ** 31) - 2048])(
    "reach %d bytes on RISC-V",
    (distance) => {
      const view = viewOf(auipcT0, jalrT0);
      setRiscv(view, 0, distance);
      expect(pairDistance(view)).toBe(distance);
    },
  );

  it.each([2 ** 31 - 2048, -(2 ** 31) - 2050])("do not reach %d bytes on RISC-V", (distance) => {
    expect(() => setRiscv(viewOf(auipcT0, jalrT0), 0, distance)).toThrow("branches reach");
  });
});

describe("windows", () => {
  const site = codeAddr(0x10_0000_0000n);
  const reachOf = (layout: typeof twoNops, distance: bigint): string => {
    const made = layout.jump(site, codeAddr(site + distance));
    return made.ok ? "reached" : made.error.kind;
  };

  it("of AArch64 reach 128 MiB from their second instruction, to the instruction", () => {
    const far = 2n ** 27n + 4n;
    expect(reachOf(twoNops, far - 4n)).toBe("reached");
    expect(reachOf(twoNops, far)).toBe("outOfRange");
    expect(reachOf(twoNops, 4n - 2n ** 27n)).toBe("reached");
    expect(reachOf(twoNops, -(2n ** 27n))).toBe("outOfRange");
  });

  it("of RISC-V reach 2 GiB, to the instruction", () => {
    expect(reachOf(fourCNops, 2n ** 31n - 2050n)).toBe("reached");
    expect(reachOf(fourCNops, 2n ** 31n - 2048n)).toBe("outOfRange");
    expect(reachOf(fourCNops, -(2n ** 31n) - 2048n)).toBe("reached");
    expect(reachOf(fourCNops, -(2n ** 31n) - 2050n)).toBe("outOfRange");
  });
});
