/** Every design by its name, for protocols of one's own. */
export {
  arm64CallOps,
  arm64CallOpsBti,
  arm64CallOpsFresh,
  arm64FourBranch,
  arm64FourNops,
  arm64Jump,
  arm64Moved,
  arm64Three,
  arm64Two,
} from "./aarch64.ts";
export {
  jalrT0,
  rv32CallOps2023,
  rv64AuipcPair,
  rv64CallOps,
  rv64CallOps2023,
  rv64GlobalPair,
  rv64Jal,
  rv64OwnStub,
  rv64Pair,
  rv64ReplayAddress,
  rv64ReplayNotNmi,
  rv64ReplayWord,
  rv64SplitLoads,
  rv64Table,
  rv64Toggle,
} from "./riscv.ts";
export { rv64CallOpsFresh, rv64Jump } from "./riscv-live.ts";
export {
  userDesign,
  x86Call,
  x86FiveNops,
  x86FiveNopsCovered,
  x86Jump,
  x86JumpCovered,
  x86OneByteSwitch,
  x86ShortJumpIdle,
} from "./x86-64.ts";
