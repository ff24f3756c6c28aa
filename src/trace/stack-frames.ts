/** The frames of recorded stacks: what their return addresses are called. */
import { hex } from "../base/brand.ts";

/** A call that had not returned. */
export type StackFrame = {
  /** Where it goes on. */
  readonly address: bigint;
  /** The function's name, as people write it; undefined where nobody knows it. */
  readonly name: string | undefined;
  /** Path of the file that it is in; undefined for code that no file has. */
  readonly module: string | undefined;
};

/**
 * The frames that recorded return addresses stand for, innermost first: as far as they are
 * certain, which may be fewer.
 */
export type NameStack = (addresses: readonly bigint[]) => readonly StackFrame[];

/** A recorded stack in one line: `inner < middle < main`, and `...` where it goes on unseen. */
export function formatStack(nameStack: NameStack, addresses: readonly bigint[]): string {
  const frames = nameStack(addresses);
  const goesOn = frames.length < addresses.length || frames.length === 0;
  return [...frames.map(frameName), ...(goesOn ? ["..."] : [])].join(" < ");
}

/** What a frame is called: `parse`, or `libfoo.so+0x1234` where its function has no name. */
export function frameName({ name, module, address }: StackFrame): string {
  if (name !== undefined) return name;
  const file = module?.slice(module.lastIndexOf("/") + 1);
  return file === undefined ? hex(address) : `${hex(address)} in ${file}`;
}
