/** Work that leaves nothing behind when it fails. */

/** Does `work`; if that fails, `undo` as well. */
export async function orElse<T>(undo: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await undo();
    throw error;
  }
}
