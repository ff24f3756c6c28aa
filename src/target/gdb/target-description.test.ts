import { describe, expect, it } from "vitest";
import { StubRegisters } from "./registers.ts";
import { parseTargetDescription } from "./target-description.ts";

const core = `<?xml version="1.0"?>
<!DOCTYPE feature SYSTEM "gdb-target.dtd">
<feature name="org.gnu.gdb.aarch64.core">
  <!-- <reg name="not" bitsize="64"/> -->
  <flags id="cpsr_flags" size="4"><field name="SP" start="0" end="0"/></flags>
  <reg name="x0" bitsize="64"/>
  <reg name='sp' bitsize='64' type='data_ptr'/>
  <reg name="pc" bitsize="64" type="code_ptr"/>
  <reg name="cpsr" bitsize="32"/>
</feature>`;
const other = `<feature name="other"><reg name="later" bitsize="32" regnum="70"/>
  <reg name="next" bitsize="128"/></feature>`;
const target = `<target version="1.0"><architecture>aarch64</architecture>
  <xi:include href="core.xml"/><xi:include href="other.xml"/><xi:include href="gone.xml"/>
</target>`;
const parts = new Map([
  ["core.xml", core],
  ["other.xml", other],
]);

describe("a target description", () => {
  const description = parseTargetDescription(target, (name) => parts.get(name));

  it("names registers, their numbers and their places", () => {
    expect(description.architecture).toBe("aarch64");
    expect([...description.registers.values()]).toEqual([
      { name: "x0", number: 0, bytes: 8, offset: 0 },
      { name: "sp", number: 1, bytes: 8, offset: 8 },
      { name: "pc", number: 2, bytes: 8, offset: 16 },
      { name: "cpsr", number: 3, bytes: 4, offset: 24 },
      { name: "later", number: 70, bytes: 4, offset: 28 },
      { name: "next", number: 71, bytes: 16, offset: 32 },
    ]);
  });

  it("that includes itself is not read for ever", () => {
    const xml = '<target><xi:include href="again"/></target>';
    expect(parseTargetDescription(xml, () => xml).registers.size).toBe(0);
  });

  it("says where values are in what `g` gives", () => {
    const registers = new StubRegisters(description, new Uint8Array(28));
    registers.set("pc", 0x1122_3344_5566_7788n).set("cpsr", -1n);
    const copy = registers.copy().set("pc", 0n);
    expect([...registers.bytes.subarray(16)]).toEqual([
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 255, 255, 255, 255,
    ]);
    expect([registers.get("pc"), copy.get("pc"), registers.get("cpsr")]).toEqual([
      0x1122_3344_5566_7788n,
      0n,
      0xffff_ffffn,
    ]);
    expect(() => registers.get("later")).toThrow(/does not offer/);
    expect(() => registers.get("next")).toThrow(/does not offer/);
  });
});
