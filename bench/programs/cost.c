/*
 * What a traced call costs: the same small functions several times over, each kind of them with
 * another thing at its entry, called from the same loops in one process.
 *
 *     plain            no patch site
 *     text             `both`, called with a pointer to a text (leaf alone)
 *     idle             a patch site that stays as the compiler left it
 *     entry, both      patch sites for the tracer; nothing else in the program tells them apart
 *     literal, other   the same with room for a pointer before them
 *     floor...         sites that lead to hand-written machine code, by this program's own doing
 *
 * The hand-written code is what a tracer can't do without: it reads the time stamp counter and
 * stores an event of 8 or 16 bytes into a ring of its thread; for entry and exit it calls the body
 * and keeps the return address elsewhere meanwhile. `hijack` puts its own return address in the
 * place of the caller's instead, as most tracers do, so that processors foresee the wrong return.
 * All of it relies on the ABI where a tracer must not: flags, r10 and r11 are lost, a full ring is
 * not noticed, neither is a signal in between.
 *
 * With -DPEER there are only `plain` and `both`, for tracers that want a program compiled
 * otherwise.
 *
 * Commands, one line each on standard input, each answered by one line:
 *     KIND leaf|fib|deep THREADS CALLS  ->  NS CALLS
 * each of the threads makes at least that many calls; NS is the time that one of them was on a
 * processor, on average, so that other programs of a busy machine do not count.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { threads_max = 2, ring_bytes = 1 << 22, shadow_slots = 1 << 16, depth = 1000 };

__thread char *floor_next;
__thread uint64_t *floor_shadow;

#define unpatched patchable_function_entry(0), no_instrument_function

#define KIND(name, patchable)                                                                     \
  __attribute__((noipa, noinline, aligned(64), patchable)) long leaf_##name(long x) {             \
    return x + 1;                                                                                 \
  }                                                                                               \
  __attribute__((noipa, noinline, aligned(64), patchable)) long fib_##name(long n) {              \
    return n < 2 ? 1 : fib_##name(n - 1) + fib_##name(n - 2);                                     \
  }                                                                                               \
  __attribute__((noipa, noinline, aligned(64), patchable)) long deep_##name(long n) {             \
    return n == 0 ? 0 : deep_##name(n - 1) + 1;                                                   \
  }                                                                                               \
  __attribute__((noipa, noinline, aligned(64), unpatched)) long down_##name(long calls) {         \
    long x = 0;                                                                                   \
    for (long i = 0; i < calls; i += depth + 1) x += deep_##name(depth) + 1;                      \
    return x;                                                                                     \
  }                                                                                               \
  __attribute__((noipa, noinline, aligned(64), unpatched)) long loop_##name(long calls) {         \
    long x = 0;                                                                                   \
    for (long i = 0; i < calls; i++) x = leaf_##name(x);                                          \
    return x;                                                                                     \
  }

#ifdef PEER
#define site used
#else
#define site patchable_function_entry(5)
#endif

KIND(plain, unpatched)
KIND(both, site)
#ifndef PEER
KIND(idle, site)
KIND(entry, site)
KIND(literal, patchable_function_entry(13, 8))
KIND(other, patchable_function_entry(13, 8))
KIND(floor_entry_8, site)
KIND(floor_entry_16, site)
KIND(floor_both_8, site)
KIND(floor_both_16, site)
KIND(floor_hijack_8, site)
KIND(floor_both_coarse, site)

/* What a coarse clock has: here, nobody sets it. */
uint64_t floor_clock;

/* Time stamp and site in one word, as `ring/layout.ts` has it; then on to the next slot. */
__asm__(
  ".macro store_event_8\n"
  "  rdtsc\n"
  "  shl $32, %rdx\n"
  "  or %rdx, %rax\n"
  "  shl $26, %rax\n"
  "  shr $24, %rax\n"
  "  movabs $0x12345600000000, %rdx\n"
  "  or %rdx, %rax\n"
  "  mov %fs:floor_next@tpoff, %rdx\n"
  "  mov %rax, (%rdx)\n"
  "  add $8, %rdx\n"
  "  btr $22, %rdx\n"
  "  mov %rdx, %fs:floor_next@tpoff\n"
  ".endm\n"
  ".macro store_event_16\n"
  "  rdtsc\n"
  "  shl $32, %rdx\n"
  "  or %rdx, %rax\n"
  "  mov %fs:floor_next@tpoff, %rdx\n"
  "  mov %rax, (%rdx)\n"
  "  movq $0x123456, 8(%rdx)\n"
  "  add $16, %rdx\n"
  "  btr $22, %rdx\n"
  "  mov %rdx, %fs:floor_next@tpoff\n"
  ".endm\n"
  ".macro store_event_coarse\n"
  "  mov floor_clock(%rip), %rax\n"
  "  shl $26, %rax\n"
  "  shr $24, %rax\n"
  "  movabs $0x12345600000000, %rdx\n"
  "  or %rdx, %rax\n"
  "  mov %fs:floor_next@tpoff, %rdx\n"
  "  mov %rax, (%rdx)\n"
  "  add $8, %rdx\n"
  "  btr $22, %rdx\n"
  "  mov %rdx, %fs:floor_next@tpoff\n"
  ".endm\n"
  ".macro entry_thunk function, bytes\n"
  "  .balign 64\n"
  "thunk_\\function:\n"
  "  mov %rax, %r10\n"
  "  mov %rdx, %r11\n"
  "  store_event_\\bytes\n"
  "  mov %r10, %rax\n"
  "  mov %r11, %rdx\n"
  "  jmp \\function + 5\n"
  ".endm\n"
  ".macro both_thunk function, bytes\n"
  "  .balign 64\n"
  "thunk_\\function:\n"
  "  mov %rax, %r10\n"
  "  mov %rdx, %r11\n"
  "  store_event_\\bytes\n"
  "  mov %fs:floor_shadow@tpoff, %rdx\n"
  "  pop (%rdx)\n"
  "  add $8, %rdx\n"
  "  mov %rdx, %fs:floor_shadow@tpoff\n"
  "  mov %r10, %rax\n"
  "  mov %r11, %rdx\n"
  "  call \\function + 5\n"
  "  mov %rax, %r10\n"
  "  mov %rdx, %r11\n"
  "  store_event_\\bytes\n"
  "  mov %fs:floor_shadow@tpoff, %rdx\n"
  "  sub $8, %rdx\n"
  "  push (%rdx)\n"
  "  mov %rdx, %fs:floor_shadow@tpoff\n"
  "  mov %r10, %rax\n"
  "  mov %r11, %rdx\n"
  "  ret\n"
  ".endm\n"
  ".macro hijack_thunk function, bytes\n"
  "  .balign 64\n"
  "thunk_\\function:\n"
  "  mov %rax, %r10\n"
  "  mov %rdx, %r11\n"
  "  store_event_\\bytes\n"
  "  mov %fs:floor_shadow@tpoff, %rdx\n"
  "  mov (%rsp), %rax\n"
  "  mov %rax, (%rdx)\n"
  "  add $8, %rdx\n"
  "  mov %rdx, %fs:floor_shadow@tpoff\n"
  "  lea hijacked_\\function(%rip), %rax\n"
  "  mov %rax, (%rsp)\n"
  "  mov %r10, %rax\n"
  "  mov %r11, %rdx\n"
  "  jmp \\function + 5\n"
  "hijacked_\\function:\n"
  "  mov %rax, %r10\n"
  "  mov %rdx, %r11\n"
  "  store_event_\\bytes\n"
  "  mov %fs:floor_shadow@tpoff, %rdx\n"
  "  sub $8, %rdx\n"
  "  mov (%rdx), %rcx\n"
  "  mov %rdx, %fs:floor_shadow@tpoff\n"
  "  mov %r10, %rax\n"
  "  mov %r11, %rdx\n"
  "  jmp *%rcx\n"
  ".endm\n"
  ".text\n"
  "entry_thunk leaf_floor_entry_8, 8\n"
  "entry_thunk fib_floor_entry_8, 8\n"
  "entry_thunk deep_floor_entry_8, 8\n"
  "entry_thunk leaf_floor_entry_16, 16\n"
  "entry_thunk fib_floor_entry_16, 16\n"
  "entry_thunk deep_floor_entry_16, 16\n"
  "both_thunk leaf_floor_both_8, 8\n"
  "both_thunk fib_floor_both_8, 8\n"
  "both_thunk deep_floor_both_8, 8\n"
  "both_thunk leaf_floor_both_16, 16\n"
  "both_thunk fib_floor_both_16, 16\n"
  "both_thunk deep_floor_both_16, 16\n"
  "both_thunk leaf_floor_both_coarse, coarse\n"
  "both_thunk fib_floor_both_coarse, coarse\n"
  "both_thunk deep_floor_both_coarse, coarse\n"
  "hijack_thunk leaf_floor_hijack_8, 8\n"
  "hijack_thunk fib_floor_hijack_8, 8\n"
  "hijack_thunk deep_floor_hijack_8, 8\n");
#define THUNK(function) extern char thunk_##function[]
THUNK(leaf_floor_entry_8); THUNK(fib_floor_entry_8); THUNK(deep_floor_entry_8);
THUNK(leaf_floor_entry_16); THUNK(fib_floor_entry_16); THUNK(deep_floor_entry_16);
THUNK(leaf_floor_both_8); THUNK(fib_floor_both_8); THUNK(deep_floor_both_8);
THUNK(leaf_floor_both_16); THUNK(fib_floor_both_16); THUNK(deep_floor_both_16);
THUNK(leaf_floor_both_coarse); THUNK(fib_floor_both_coarse); THUNK(deep_floor_both_coarse);
THUNK(leaf_floor_hijack_8); THUNK(fib_floor_hijack_8); THUNK(deep_floor_hijack_8);
#endif

/* The same calls as loop_both's, with a text for whoever reads it. */
__attribute__((noipa, noinline, aligned(64), unpatched)) static long loop_text(long calls) {
  for (long i = 0; i < calls; i++) leaf_both((long)"some text");
  return calls;
}

typedef struct {
  const char *name;
  long (*loop)(long);
  long (*fib)(long);
  long (*down)(long);
} kind;

static const kind kinds[] = {
#define ROW(name) {#name, loop_##name, fib_##name, down_##name}
  ROW(plain), ROW(both), {"text", loop_text, fib_both, down_both},
#ifndef PEER
  ROW(idle), ROW(entry), ROW(literal), ROW(other), ROW(floor_entry_8), ROW(floor_entry_16),
    ROW(floor_both_8), ROW(floor_both_16), ROW(floor_hijack_8), ROW(floor_both_coarse),
#endif
};

#ifndef PEER
/* Lets a site jump to its thunk. */
__attribute__((unpatched)) static void hook(long (*function)(long), char *thunk) {
  unsigned char *at = (unsigned char *)function;
  char *page = (char *)((uintptr_t)function & ~4095ul);
  int32_t distance = (int32_t)(thunk - (char *)(at + 5));
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) exit(1);
  at[0] = 0xe9;
  memcpy(at + 1, &distance, 4);
  if (mprotect(page, 4096, PROT_READ | PROT_EXEC)) exit(1);
}

__attribute__((unpatched)) static void hook_floors(void) {
#define HOOK(function) hook(function, thunk_##function)
  HOOK(leaf_floor_entry_8); HOOK(fib_floor_entry_8); HOOK(deep_floor_entry_8);
  HOOK(leaf_floor_entry_16); HOOK(fib_floor_entry_16); HOOK(deep_floor_entry_16);
  HOOK(leaf_floor_both_8); HOOK(fib_floor_both_8); HOOK(deep_floor_both_8);
  HOOK(leaf_floor_both_16); HOOK(fib_floor_both_16); HOOK(deep_floor_both_16);
  HOOK(leaf_floor_both_coarse); HOOK(fib_floor_both_coarse); HOOK(deep_floor_both_coarse);
  HOOK(leaf_floor_hijack_8); HOOK(fib_floor_hijack_8); HOOK(deep_floor_hijack_8);
}
#endif

/* A ring that begins where its size's bit and the next one are clear, so that one `btr` wraps. */
__attribute__((unpatched)) static void make_ring(void) {
  char *room = mmap(0, 4 * ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) exit(1);
  uintptr_t step = 2 * ring_bytes;
  floor_next = (char *)(((uintptr_t)room + step - 1) / step * step);
  memset(floor_next, 1, ring_bytes);
  floor_shadow = calloc(shadow_slots, sizeof *floor_shadow);
}

static pthread_barrier_t barrier;
static struct {
  const kind *kind;
  int is_fib, is_deep, threads;
  long calls;
} job;
static struct {
  long ns, calls;
} results[threads_max];

__attribute__((unpatched)) static long thread_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000l + now.tv_nsec;
}

/* fib(n) with fib(0) = fib(1) = 1 makes 2 fib(n) - 1 calls. */
__attribute__((unpatched)) static void *work(void *argument) {
  long index = (long)argument;
  make_ring();
  for (;;) {
    pthread_barrier_wait(&barrier);
    if (index < job.threads) {
      long n = 1;
      while (2 * fib_plain(n) - 1 < (job.is_fib ? job.calls : 0)) n++;
      long start = thread_ns();
      long (*loop)(long) = job.is_deep ? job.kind->down : job.kind->loop;
      long result = job.is_fib ? job.kind->fib(n) : loop(job.calls);
      results[index].ns = thread_ns() - start;
      results[index].calls = job.is_fib ? 2 * result - 1 : result;
    }
    pthread_barrier_wait(&barrier);
  }
  return 0;
}

__attribute__((unpatched)) int main(void) {
  char line[200], name[32], workload[8];
  pthread_t thread;
#ifndef PEER
  hook_floors();
#endif
  pthread_barrier_init(&barrier, 0, threads_max + 1);
  for (long i = 0; i < threads_max; i++) pthread_create(&thread, 0, work, (void *)i);
  printf("pid %d\n", getpid());
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%31s %7s %d %ld", name, workload, &job.threads, &job.calls) != 4) return 2;
    job.kind = 0;
    job.is_fib = !strcmp(workload, "fib");
    job.is_deep = !strcmp(workload, "deep");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
      if (!strcmp(kinds[i].name, name)) job.kind = &kinds[i];
    }
    if (!job.kind || job.threads < 1 || job.threads > threads_max) return 2;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    long ns = 0;
    for (int i = 0; i < job.threads; i++) ns += results[i].ns;
    printf("%ld %ld\n", ns / job.threads, results[0].calls);
    fflush(stdout);
  }
  return 0;
}
