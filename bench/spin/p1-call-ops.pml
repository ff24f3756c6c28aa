/*
 * P1 by hand for SPIN: CALL_OPS on Armv8-A with DIC = IDC = 0. The literal is data and coherent;
 * the instruction may be fetched in any version, since no exception synchronises the hart here.
 * Enabled, disabled, and the ops freed.
 *
 * -DFREED_AT_ONCE leaves the grace period out.
 */
#define NOP_OPS 0
#define A_OPS 1

byte literal = NOP_OPS;
bool may_nop = true;
bool may_call = false;
bool freed = false;
byte at = 0; /* 0 outside, 1 mov, 2 nop or bl, 3 to 9 in the trampoline, 10 the body */
bool waited = false;

inline swing(ops, to_call) {
  literal = ops;
  if
  :: to_call -> may_call = true
  :: else -> may_nop = true
  fi
}

active proctype patcher() {
  swing(A_OPS, true);
  swing(NOP_OPS, false);
#ifndef FREED_AT_ONCE
  /* Whoever is inside now has to be seen outside. */
  atomic {
    if
    :: at != 0 -> waited = true
    :: else
    fi
  }
  !waited;
#endif
  freed = true
}

inline use_ops() {
  assert(!(freed && ops == A_OPS))
}

active proctype thread() {
  byte ops = 0;
end:
  do
  :: atomic { at == 0 -> at = 1 }
  :: atomic { at == 1 -> at = 2 }
  :: atomic { at == 2 && may_nop -> at = 10 }
  :: atomic { at == 2 && may_call -> at = 3 }
  :: atomic { at == 3 -> at = 4 }
  /* The one load of the literal, then what is loaded through it, then the callback. */
  :: atomic { at == 4 -> ops = literal; at = 5 }
  :: atomic { at == 5 -> use_ops(); at = 6 }
  :: atomic { at == 6 -> use_ops(); at = 7 }
  :: atomic { at == 7 -> use_ops(); at = 8 }
  :: atomic { at == 8 -> use_ops(); at = 9 }
  :: atomic { at == 9 -> ops = 0; at = 10 }
  :: atomic { at == 10 -> at = 0; waited = false }
  od
}
