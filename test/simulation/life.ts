/** One life of the agent's process. */
export interface Life {
  alive: boolean;
  /** What removes each listener that it has. */
  listening: Set<() => void>;
  kill(): void;
}

/** Node keeps a signal that has a listener, and with it the whole host. So the listeners go with the process. */
export function endLife(life: Life): void {
  life.alive = false;
  for (const forget of life.listening) forget();
}

/** Calls `stop` when the signal is aborted. @returns what prevents that */
export function onAbort({ listening }: Life, signal: AbortSignal, stop: () => void): () => void {
  const forget = () => {
    signal.removeEventListener("abort", stop);
    listening.delete(forget);
  };
  listening.add(forget);
  signal.addEventListener("abort", stop, { once: true });
  return forget;
}
