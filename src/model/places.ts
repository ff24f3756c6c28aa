/**
 * Addresses of the checker's world: within 31 bits (RV32), within every branch's reach of the
 * sites, and different from each other in every byte that an encoding of them has.
 */
export const siteBase = 0x0010_0000n;
/** From one site to the next. */
export const siteStride = 0x1000n;
export const opsBase = 0x2000_0000n;
/** Both halves of an address differ from one ops to the next, so that a torn pointer shows. */
export const opsStride = (wordBytes: 4 | 8): bigint =>
  wordBytes === 8 ? 0x10_0000_0040n : 0x1_0040n;
export const funcBase = 0x2100_0000n;
export const wordBase = 0x2200_0000n;

/** Where the function has been called from, and the caller's stack pointer. */
export const callerReturn = 0x2ca1_1e40n;
export const stackTop = 0x7f00_0000n;

/** Code beside the sites, in the order that a design names it. */
export const codeAddresses: readonly bigint[] = [
  0x0181_2340n,
  0x0292_4568n,
  0x03a3_5784n,
  0x04b4_6a90n,
  0x0545_79acn,
  0x0656_8bc0n,
];
