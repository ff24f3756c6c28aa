/*
 * A program with very many functions, and an eye on its own pauses.
 *
 * One thread calls all functions of the table in turn, with a rest now and then. The first thread,
 * whom a tracer will take hold of first, does nothing but read the clock. When it finds that time
 * has gone by, the kernel's counts of context switches say why: a thread that a tracer stops goes
 * to sleep (a voluntary switch), one whose
 * processor was given to another program was preempted (an involuntary one); what is left is the
 * work of interrupts. So pauses are told apart from a busy machine.
 *
 * Commands, one line each on standard input:
 *     watch   ->  0                      forgets all pauses
 *     pauses  ->  NS COUNT NS NS         the longest stop and the number of stops longer than 1 us;
 *                                        the longest preemption; the longest other gap
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { pause_ns = 1000, calls_between_rests = 2000 };

extern int (*const *const tables[])(int);
extern const int table_count, functions_per_table;

static _Atomic long longest_stop, stops, longest_preemption, longest_gap;
static volatile int result;

static long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000l + now.tv_nsec;
}

static void note(_Atomic long *longest, long ns) {
  if (ns > atomic_load(longest)) atomic_store(longest, ns);
}

static void watch(void) {
  struct rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  for (long last = now_ns();;) {
    long now = now_ns();
    long gap = now - last;
    last = now;
    if (gap < pause_ns) continue;
    getrusage(RUSAGE_THREAD, &after);
    if (after.ru_nvcsw != before.ru_nvcsw) {
      note(&longest_stop, gap);
      atomic_fetch_add(&stops, 1);
    } else {
      note(after.ru_nivcsw != before.ru_nivcsw ? &longest_preemption : &longest_gap, gap);
    }
    before = after;
    last = now_ns();
  }
}

static void *call_all(void *unused) {
  for (int calls = 0;;) {
    for (int t = 0; t < table_count; t++) {
      for (int i = 0; i < functions_per_table; i++) {
        result = tables[t][i](result);
        if (++calls % calls_between_rests == 0) usleep(100);
      }
    }
  }
  return unused;
}

static void *answer(void *unused) {
  char line[100];
  while (fgets(line, sizeof line, stdin)) {
    if (!strcmp(line, "watch\n")) {
      longest_stop = stops = longest_preemption = longest_gap = 0;
      printf("0\n");
    } else {
      printf("%ld %ld %ld %ld\n", (long)longest_stop, (long)stops, (long)longest_preemption,
             (long)longest_gap);
    }
    fflush(stdout);
  }
  exit(0);
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, answer, 0);
  pthread_create(&thread, 0, call_all, 0);
  printf("pid %d\n", getpid());
  fflush(stdout);
  watch();
}
