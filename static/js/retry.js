/** Repeats what fails for lack of the network. */

const RETRY_MS = 10_000;

/**
 * Run a step until it does not fail.
 *
 * @param {() => Promise<unknown>} step
 * @param {(action: () => void, delayMs: number) => unknown} [setTimer]
 */
export async function untilDone(step, setTimer = setTimeout) {
  try {
    await step();
  } catch {
    setTimer(() => void untilDone(step, setTimer), RETRY_MS);
  }
}
