"""Lets gdb see through functions that Patchbay traces: source it, then `bt`.

A traced function returns to a thunk, which keeps the caller's return address in the mirror of the
stack, at a constant distance. gdb knows no frame description of code that nobody told it about, and
guesses. This finds the distance in the code that the thunk calls.
"""

import gdb
from gdb.unwinder import Unwinder

# A thunk from its return point on: lea rsp, [rsp - 8]; push SITE; call leave.
RETURN_POINT = bytes.fromhex("488d6424f868")
CALL_AT = 10
# In `leave`: mov rcx, DISTANCE; mov rdx, [rsp + rcx + ...].
DISTANCE = bytes.fromhex("48b9")
USE = bytes.fromhex("488b540c")
LEAVE_BYTES = 2048


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def distance_in(leave):
    code = read(leave, LEAVE_BYTES)
    at = code.find(DISTANCE)
    while at >= 0:
        if code[at + 10 : at + 14] == USE:
            return int.from_bytes(code[at + 2 : at + 10], "little")
        at = code.find(DISTANCE, at + 1)
    return None


class ThunkUnwinder(Unwinder):
    def __init__(self):
        super().__init__("patchbay-thunks")

    def __call__(self, pending):
        pc = int(pending.read_register("rip")) & (2**64 - 1)
        sp = int(pending.read_register("rsp")) & (2**64 - 1)
        try:
            head = read(pc, CALL_AT + 5)
            if head[:6] != RETURN_POINT or head[CALL_AT] != 0xE8:
                return None
            leave = pc + CALL_AT + 5 + int.from_bytes(head[CALL_AT + 1 :], "little", signed=True)
            distance = distance_in(leave)
            if distance is None:
                return None
            slot = (sp - 8 + distance) & (2**64 - 1)
            caller = int.from_bytes(read(slot, 8), "little")
        except gdb.MemoryError:
            return None
        info = pending.create_unwind_info(FrameId(gdb.Value(sp + 8), gdb.Value(pc)))
        for name in ("rbx", "rbp", "r12", "r13", "r14", "r15"):
            info.add_saved_register(name, pending.read_register(name))
        pointer = pending.read_register("rsp").type
        info.add_saved_register("rsp", gdb.Value(sp).cast(pointer))
        info.add_saved_register("rip", gdb.Value(caller).cast(pending.read_register("rip").type))
        return info


gdb.unwinder.register_unwinder(None, ThunkUnwinder(), replace=True)
