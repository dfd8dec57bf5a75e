import { z } from "zod";

export const savedGaps = z.array(z.object({ from: z.number(), to: z.number(), why: z.string() }));
type Gap = z.infer<typeof savedGaps>[number];

const kept = 20;

/** How near two gaps of one kind are to be one, in milliseconds. */
const near = 5000;

/** When requests may have been lost, or counted for another time. */
export class Gaps {
  #gaps: Gap[];

  constructor(saved: Gap[] = []) {
    this.#gaps = saved;
  }

  get saved(): Gap[] {
    return this.#gaps;
  }

  add(gap: Gap): void {
    const same = this.#gaps.find(
      ({ why, to, from }) => why === gap.why && gap.from <= to + near && gap.to >= from - near,
    );
    if (same === undefined) this.#gaps = [...this.#gaps.slice(1 - kept), gap];
    else Object.assign(same, { from: Math.min(same.from, gap.from), to: Math.max(same.to, gap.to) });
  }

  /** The times of all gaps mean nothing any more: this one is in their place. */
  forget(gap: Gap): void {
    this.#gaps = [gap];
  }

  /** Why counts of this window may not be whole. */
  in({ from, to }: { from: number; to: number }): string | undefined {
    return this.#gaps.find((gap) => gap.from < to && gap.to > from)?.why;
  }
}
