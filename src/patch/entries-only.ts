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
/** They go on elsewhere: glibc's names, its inner ones too, and musl's. */
const leaving: ReadonlySet<string> = new Set(
  (
    "longjmp siglongjmp _longjmp __longjmp_chk __libc_longjmp __libc_siglongjmp __longjmp " +
    "____longjmp_chk __longjmp_cancel setcontext __setcontext"
  ).split(" "),
);

/** Why only entries of the function `name` can be recorded; undefined where it is harmless. */
export function whyEntriesOnlyByName(name: string): string | undefined {
  if (leaving.has(name)) return "it does not return";
  return names.has(name) || unwinding.test(name) ? "it looks at its return address" : undefined;
}
