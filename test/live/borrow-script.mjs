/**
 * Borrows a thread of a process as Patchbay does while it attaches, and is killed in the
 * middle of it: by itself after so many calls, or by whoever started it.
 *
 *     node borrow-script.mjs DIST PID CALLS
 */
const [dist, pid, calls] = process.argv.slice(2);
const { PtraceProcess } = await import(`${dist}/target/ptrace-process.js`);
const { RemoteThread } = await import(`${dist}/target/remote-call.js`);

const target = new PtraceProcess(Number(pid));
target.syscallGate();
const once = () => {
  const threads = target.holdOne();
  const remote = new RemoteThread(target, threads, threads.quietest);
  for (let made = 0; made < Number(calls); made++) {
    const at = remote.syscall("map", "mmap", 0n, 4096n, 3n, 0x22n, -1n, 0n);
    remote.syscall("unmap", "munmap", at, 4096n);
  }
  if (process.argv[5] === "die") process.kill(process.pid, "SIGKILL");
  remote[Symbol.dispose]();
  threads.letGo();
};
console.log("borrowing");
for (;;) once();
