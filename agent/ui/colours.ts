/** As many as page.css has colours. */
const colours = 6;

/** Each release of an app keeps its colour while the page runs, and releases one after another have different ones. */
export class Colours {
  readonly #known = new Map<string, number>();

  /** The class of page.css. */
  of(release: string): string {
    const index = this.#known.get(release) ?? this.#known.size;
    this.#known.set(release, index);
    return `release-${index % colours}`;
  }
}
