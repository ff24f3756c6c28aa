/** The part of `@alexaltea/capstone-js` that `capstone.ts` uses; the package ships no types. */
declare module "@alexaltea/capstone-js" {
  export type RawInstruction = {
    readonly address: bigint;
    readonly size: number;
    readonly mnemonic: string;
    readonly op_str: string;
  };
  export type Handle = {
    disasm(bytes: Uint8Array | readonly number[], at: bigint, countMax: number): RawInstruction[];
    option(option: number, value: number): void;
    close(): void;
  };
  export type Capstone = {
    readonly Capstone: new (arch: number, mode: number) => Handle;
    readonly ARCH_X86: number;
    readonly ARCH_ARM64: number;
    readonly ARCH_RISCV: number;
    readonly MODE_64: number;
    readonly MODE_LITTLE_ENDIAN: number;
    readonly MODE_RISCV32: number;
    readonly MODE_RISCV64: number;
    readonly MODE_RISCVC: number;
  };
  const load: () => Promise<Capstone>;
  export default load;
}
