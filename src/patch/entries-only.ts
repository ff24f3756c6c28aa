/** Functions whose return can't be hooked, as far as their names tell it. */

/** They return twice, look at who called them, or switch stacks. */
const names: ReadonlySet<string> = new Set(
  (
    "setjmp _setjmp __setjmp sigsetjmp __sigsetjmp vfork __vfork getcontext __getcontext " +
    "swapcontext __swapcontext dlopen dlmopen dlsym dlvsym __libc_dlopen_mode mcount _mcount " +
    "__fentry__"
  ).split(" "),
);
const unwinding = /^_Unwind_/;

/** Why only entries of the function `name` can be recorded; undefined where it is harmless. */
export const whyEntriesOnlyByName = (name: string): string | undefined =>
  names.has(name) || unwinding.test(name) ? "it looks at its return address" : undefined;
