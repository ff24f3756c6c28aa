/*
 * P7 by hand for SPIN: the int3 batch on Intel's machine. Every byte of the instruction is fetched
 * by itself, from any version since the hart's last synchronisation, never older than one that it
 * has fetched. Enabled, then disabled; one thread that calls the function for ever.
 *
 * -DNO_FIRST_SYNC leaves the sync behind int3 out, -DNO_SECOND_SYNC the one behind the tail.
 */
#define OLD 0
#define NEW 1
#define TRAP 2

/* The first byte: versions since the oldest that the hart may fetch; the last one is in memory. */
byte versions[4];
byte newest = 0;
/* The tail's bytes are OLD or NEW in turn: how many versions the hart may be behind. */
byte tail[4];
byte lag[4];

bool interrupt = false;
bool armed = false;
bool masked = false;
/* What a trap does: the code that is being put in place. */
byte goal = OLD;

inline synchronise() {
  versions[0] = versions[newest];
  versions[1] = 0; versions[2] = 0; versions[3] = 0;
  newest = 0;
  lag[0] = 0; lag[1] = 0; lag[2] = 0; lag[3] = 0;
}

inline store_head(value) {
  d_step { newest++; versions[newest] = value }
}

inline store_tail(value) {
  byte left = 15;
  do
  :: left & 1 -> d_step { tail[0] = value; lag[0]++; left = left - 1 }
  :: left & 2 -> d_step { tail[1] = value; lag[1]++; left = left - 2 }
  :: left & 4 -> d_step { tail[2] = value; lag[2]++; left = left - 4 }
  :: left & 8 -> d_step { tail[3] = value; lag[3]++; left = left - 8 }
  :: left == 0 -> break
  od;
  left = 0
}

inline sync() {
  interrupt = true;
  !interrupt
}

inline change(value) {
  d_step { goal = value; armed = true }
  store_head(TRAP);
#ifndef NO_FIRST_SYNC
  sync();
#endif
  store_tail(value);
#ifndef NO_SECOND_SYNC
  sync();
#endif
  store_head(value);
  sync();
  /* Handlers that run are waited for. */
  atomic { !masked -> armed = false }
}

active proctype patcher() {
  change(NEW);
  change(OLD)
}

/* One byte of the tail, as the hart may see it. */
inline fetch_tail(i) {
  behind = 0;
  do
  :: behind < lag[i] -> behind++
  :: break
  od;
  lag[i] = behind;
  assert(((tail[i] + behind) % 2) == head)
}

inline fetch_head() {
  behind = 0;
  do
  :: behind < newest -> behind++
  :: break
  od;
  /* Versions in front of the one that was fetched are gone. */
  do
  :: behind > 0 ->
    versions[0] = versions[1]; versions[1] = versions[2]; versions[2] = versions[3];
    versions[3] = 0; newest--; behind--
  :: behind == 0 -> break
  od;
  head = versions[0]
}

active proctype thread() {
  byte head, behind;
  byte at = 0; /* 0 outside, 1 at the site, 2 in the handler, 3 to 6 in the trampoline */
end:
  do
  :: atomic { interrupt && !masked -> synchronise(); interrupt = false }
  :: atomic { at == 0 -> at = 1 }
  :: atomic { at == 1 ->
      fetch_head();
      if
      :: head == TRAP -> synchronise(); masked = true; at = 2
      :: else ->
        fetch_tail(0); fetch_tail(1); fetch_tail(2); fetch_tail(3);
        if
        :: head == NEW -> at = 3
        :: else -> at = 0
        fi
      fi;
      head = 0; behind = 0
    }
  :: atomic { at == 2 ->
      assert(armed);
      synchronise();
      masked = false;
      if
      :: goal == NEW -> at = 3
      :: else -> at = 0
      fi
    }
  :: atomic { at >= 3 && at < 6 -> at++ }
  :: atomic { at == 6 -> at = 0 }
  od
}
