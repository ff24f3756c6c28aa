/**
 * This process' standard streams, which the programs that it starts share with it. Node makes pipes
 * and sockets non-blocking when it first looks at its streams; that is a property of what is at
 * their other end, too, so a program would find its output failing with EAGAIN whenever its reader
 * is slow (fcntl(2), O_NONBLOCK). Node itself does well with streams that block.
 */
import { fcntl } from "./libc.ts";

const getFlags = 3;
const setFlags = 4;
const nonBlocking = 0o4000;

/** Lets Node look at its output streams, and makes them block again for good. */
export function shareStreams(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const { fd } = stream;
    const flags = fcntl(fd, getFlags, 0);
    if (flags >= 0 && (flags & nonBlocking) !== 0) fcntl(fd, setFlags, flags & ~nonBlocking);
  }
}
