/** Does one piece of work at a time, in the order in which they came. One that fails does not stop those after it. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** @returns what the work gives, or throws what it throws */
  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when the work that has come so far has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
