// table
/** Numbers of DWARF that Patchbay uses. Source: DWARF 5 section 7; names without their prefix. */

/** DW_TAG */
export const tag = {
  arrayType: 0x01,
  classType: 0x02,
  enumerationType: 0x04,
  formalParameter: 0x05,
  member: 0x0d,
  pointerType: 0x0f,
  referenceType: 0x10,
  compileUnit: 0x11,
  structureType: 0x13,
  subroutineType: 0x15,
  typedef: 0x16,
  unionType: 0x17,
  unspecifiedParameters: 0x18,
  inheritance: 0x1c,
  inlinedSubroutine: 0x1d,
  subrangeType: 0x21,
  baseType: 0x24,
  constType: 0x26,
  enumerator: 0x28,
  subprogram: 0x2e,
  variable: 0x34,
  volatileType: 0x35,
  restrictType: 0x37,
  partialUnit: 0x3c,
  rvalueReferenceType: 0x42,
  atomicType: 0x47,
  skeletonUnit: 0x4a,
} as const;

/** DW_AT */
export const attribute = {
  name: 0x03,
  byteSize: 0x0b,
  stmtList: 0x10,
  lowPc: 0x11,
  highPc: 0x12,
  compDir: 0x1b,
  constValue: 0x1c,
  inline: 0x20,
  producer: 0x25,
  upperBound: 0x2f,
  abstractOrigin: 0x31,
  callingConvention: 0x36,
  count: 0x37,
  memberLocation: 0x38,
  declaration: 0x3c,
  encoding: 0x3e,
  specification: 0x47,
  type: 0x49,
  ranges: 0x55,
  callFile: 0x58,
  callLine: 0x59,
  linkageName: 0x6e,
  strOffsetsBase: 0x72,
  addrBase: 0x73,
  rnglistsBase: 0x74,
  mipsLinkageName: 0x2007,
  gnuAddrBase: 0x2133,
} as const;

/** DW_ATE: what a base type's bits mean */
export const baseEncoding = {
  address: 1,
  boolean: 2,
  float: 4,
  signed: 5,
  signedChar: 6,
  unsigned: 7,
  unsignedChar: 8,
  utf: 0x10,
} as const;

/** DW_CC: of a function whose parameters are not where they should be; of types in calls */
export const callingConvention = { noCall: 3, passByReference: 4, passByValue: 5 } as const;

/** DW_FORM */
export const form = {
  addr: 0x01,
  block2: 0x03,
  block4: 0x04,
  data2: 0x05,
  data4: 0x06,
  data8: 0x07,
  string: 0x08,
  block: 0x09,
  block1: 0x0a,
  data1: 0x0b,
  flag: 0x0c,
  sdata: 0x0d,
  strp: 0x0e,
  udata: 0x0f,
  refAddr: 0x10,
  ref1: 0x11,
  ref2: 0x12,
  ref4: 0x13,
  ref8: 0x14,
  refUdata: 0x15,
  indirect: 0x16,
  secOffset: 0x17,
  exprloc: 0x18,
  flagPresent: 0x19,
  strx: 0x1a,
  addrx: 0x1b,
  refSup4: 0x1c,
  strpSup: 0x1d,
  data16: 0x1e,
  lineStrp: 0x1f,
  refSig8: 0x20,
  implicitConst: 0x21,
  loclistx: 0x22,
  rnglistx: 0x23,
  refSup8: 0x24,
  strx1: 0x25,
  strx2: 0x26,
  strx3: 0x27,
  strx4: 0x28,
  addrx1: 0x29,
  addrx2: 0x2a,
  addrx3: 0x2b,
  addrx4: 0x2c,
  gnuAddrIndex: 0x1f01,
  gnuStrIndex: 0x1f02,
  gnuRefAlt: 0x1f20,
  gnuStrpAlt: 0x1f21,
} as const;

/** DW_UT: kinds of unit headers of DWARF 5 */
export const unitType = {
  compile: 1,
  type: 2,
  partial: 3,
  skeleton: 4,
  splitCompile: 5,
  splitType: 6,
} as const;

/** DW_RLE: entries of .debug_rnglists */
export const rangeEntry = {
  endOfList: 0,
  baseAddressx: 1,
  startxEndx: 2,
  startxLength: 3,
  offsetPair: 4,
  baseAddress: 5,
  startEnd: 6,
  startLength: 7,
} as const;

/** DW_LNS: standard opcodes of the line program */
export const lineOpcode = {
  extended: 0,
  copy: 1,
  advancePc: 2,
  advanceLine: 3,
  setFile: 4,
  constAddPc: 8,
  fixedAdvancePc: 9,
} as const;

/** DW_LNE: extended opcodes of the line program */
export const lineExtendedOpcode = { endSequence: 1, setAddress: 2 } as const;

/** DW_LNCT: what a column of a file table holds */
export const lineContent = { path: 1, directoryIndex: 2 } as const;

/** DW_INL: 1 and 3 say that the compiler inlined the function somewhere */
export const inlined = { inlined: 1, declaredInlined: 3 } as const;
