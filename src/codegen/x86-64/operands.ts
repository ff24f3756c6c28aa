/**
 * Values at static probes: where a probe's note says that they are, while a routine runs that the
 * thunk of the place has called. Memory is read by the kernel (process_vm_readv of the thread's
 * own process), unless it is the function's own frame: a probe may name what the program would not
 * read.
 */
import type { SdtOperand, SdtPlace } from "../../elf/sdt-operands.ts";
import { type Label, mem, mem8, mem16, mem32, mem64 } from "../../isa/x86-64/operands.ts";
import { type Gpr, gpr, r32, r64, xmm } from "../../isa/x86-64/registers.ts";
import { emitReadMemory } from "./read-memory.ts";
import { type Routine, redZoneBytes, routineFrame } from "./record.ts";
import { type Pushed, savedOffset } from "./values.ts";

const { rax, rdx, rsp } = r64;
const stackPointer = rsp.number;

const savedByNumber: ReadonlyMap<number, number> = new Map(
  (["rsi", "rbx", "rcx", "rdx", "rax"] as const).map((name) => [
    r64[name].number,
    savedOffset[name],
  ]),
);

/** From what `save` pushed to the stack pointer at the place. */
const placeOffset: number = routineFrame.slot + redZoneBytes;

/** Where a routine finds the values of the place. */
export type OperandPlaces = {
  /** Where what `save` pushed begins, from the stack pointer. */
  readonly saved: number;
  readonly pushed: Pushed;
  /** Where to go when memory can't be read, with the stack pointer as it was. */
  readonly unreadable: Label;
};

/** Loads a value into rax; of its bits, those count that its size has. Clobbers rdx to r11. */
export function loadOperand(
  routine: Routine,
  { bytes, place }: SdtOperand,
  places: OperandPlaces,
): void {
  const { a } = routine;
  switch (place.kind) {
    case "constant":
      a.i("mov", rax, BigInt.asIntN(64, BigInt(place.value)));
      return;
    case "register":
      loadRegister(routine, rax, place.number, places);
      if (place.isHighByte) a.i("shr", rax, 8);
      return;
    case "vector":
      a.i("movq", rax, xmm(place.number));
      return;
    case "memory":
      loadMemory(routine, bytes, place, places);
      return;
    case "unknown":
      a.i("jmp", places.unreadable);
      return;
    default:
      place satisfies never;
  }
}

/** What a general register held at the place, into `to`. */
function loadRegister(
  { a }: Routine,
  to: Gpr<64>,
  number: number,
  { saved, pushed }: OperandPlaces,
): void {
  const kept = savedByNumber.get(number);
  const at = [...pushed].find(([register]) => register.number === number)?.[1];
  if (number === stackPointer) a.i("lea", to, mem(rsp, { disp: saved + placeOffset }));
  else if (kept !== undefined) a.i("mov", to, mem64(rsp, { disp: saved + kept }));
  else if (at !== undefined) a.i("mov", to, mem64(rsp, { disp: at }));
  else a.i("mov", to, gpr(64, number));
}

function loadMemory(
  routine: Routine,
  bytes: SdtOperand["bytes"],
  { base, index, scale, disp }: Extract<SdtPlace, { readonly kind: "memory" }>,
  places: OperandPlaces,
): void {
  const { a } = routine;
  if (base === stackPointer && index === undefined && disp >= -redZoneBytes) {
    const parts = { disp: places.saved + placeOffset + disp };
    if (bytes === 8) a.i("mov", rax, mem64(rsp, parts));
    else if (bytes === 4) a.i("mov", r32.eax, mem32(rsp, parts));
    else a.i("movzx", r32.eax, bytes === 2 ? mem16(rsp, parts) : mem8(rsp, parts));
    return;
  }
  if (base === undefined) a.i("xor", r32.eax, r32.eax);
  else loadRegister(routine, rax, base, places);
  if (index === undefined) a.i("lea", rax, mem(rax, { disp }));
  else {
    loadRegister(routine, rdx, index, places);
    a.i("lea", rax, mem(rax, { index: rdx, scale, disp }));
  }
  readMemory(routine, bytes, places.unreadable);
}

/** Reads `bytes` bytes at rax: rax. */
function readMemory(routine: Routine, bytes: number, unreadable: Label): void {
  const { a } = routine;
  const frameBytes = 40;
  const word = 32;
  a.i("sub", rsp, frameBytes);
  a.i("lea", rdx, mem(rsp, { disp: word }));
  a.i("mov", mem64(rsp), rdx);
  a.i("mov", mem64(rsp, { disp: 8 }), bytes);
  a.i("mov", mem64(rsp, { disp: 16 }), rax);
  a.i("mov", mem64(rsp, { disp: 24 }), bytes);
  a.i("mov", mem64(rsp, { disp: word }), 0);
  emitReadMemory(routine, 1);
  a.i("cmp", rax, bytes);
  a.i("mov", rax, mem64(rsp, { disp: word }));
  a.i("lea", rsp, mem(rsp, { disp: frameBytes }));
  a.i("jne", unreadable);
}
