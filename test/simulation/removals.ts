import { CutoverError } from "../../shared/errors.ts";

/** Apps that are being removed, and those that were removed only in part: they lose their instances on purpose. */
export class Removals {
  readonly #open = new Map<string, number>();
  /** How many removals were begun. */
  begun = 0;

  has(app: string): boolean {
    return (this.#open.get(app) ?? 0) > 0;
  }

  apps(): string[] {
    return [...this.#open.keys()].filter((app) => this.has(app));
  }

  /** @param isGone whether nothing of the app is left: also if its removal was answered with a failure */
  async follow(app: string, removal: Promise<void>, isGone: () => boolean): Promise<void> {
    const open = (this.#open.get(app) ?? 0) + 1;
    this.#open.set(app, open);
    this.begun++;
    try {
      await removal;
      isGone();
    } catch (thrown) {
      if (isGone()) throw thrown;
      const refused = thrown instanceof CutoverError && thrown.code === "deployment_in_progress";
      if (refused) this.#open.set(app, Math.max((this.#open.get(app) ?? 0) - 1, 0));
      throw thrown;
    }
  }

  ended(app: string): void {
    this.#open.delete(app);
  }
}
