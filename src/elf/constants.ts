// table
/** Numbers of the ELF format that Patchbay uses, by the names the gabi gives them (lower case). */

/** e_type */
export const fileType = { relocatable: 1, executable: 2, shared: 3, core: 4 } as const;

/** e_machine */
export const elfMachine = { x86_64: 62, aarch64: 183, riscv: 243 } as const;

/** p_type */
export const segmentType = {
  load: 1,
  dynamic: 2,
  interp: 3,
  note: 4,
  tls: 7,
  gnuEhFrame: 0x6474e550,
} as const;

/** p_flags */
export const segmentFlag = { execute: 1, write: 2, read: 4 } as const;

/** sh_type */
export const sectionType = {
  null: 0,
  progbits: 1,
  symtab: 2,
  strtab: 3,
  rela: 4,
  nobits: 8,
  rel: 9,
  dynsym: 11,
  relr: 19,
} as const;

/** sh_flags */
export const sectionFlag = {
  write: 1,
  alloc: 2,
  execute: 4,
  linkOrder: 0x80,
  compressed: 0x800,
} as const;

/** d_tag */
export const dynamicTag = {
  null: 0,
  needed: 1,
  hash: 4,
  strtab: 5,
  symtab: 6,
  rela: 7,
  relaSize: 8,
  strSize: 10,
  soname: 14,
  debug: 21,
  jmprel: 23,
  pltRelSize: 2,
  relrSize: 35,
  relr: 36,
  gnuHash: 0x6ffffef5,
} as const;

/** Relocation types by machine: those that store an address known at link time, plus a symbol's. */
export const relocationType = {
  "x86-64": { relative: 8, absolute: 1, globDat: 6, jumpSlot: 7 },
  aarch64: { relative: 1027, absolute: 257, globDat: 1025, jumpSlot: 1026 },
  riscv64: { relative: 3, absolute: 2, globDat: 2, jumpSlot: 5 },
} as const;

/** st_info, low four bits */
export const symbolType = {
  notype: 0,
  object: 1,
  func: 2,
  section: 3,
  file: 4,
  ifunc: 10,
} as const;

/** st_info, high four bits */
export const symbolBinding = { local: 0, global: 1, weak: 2 } as const;
