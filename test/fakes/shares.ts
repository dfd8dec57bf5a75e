import { CutoverError } from "../../shared/errors.ts";

/** The full share of the processor, which a host gives to runs. */
export class FakeShares {
  /** The runs that got it, in their order. */
  readonly given: string[] = [];
  /** The host cannot give it to any run now. */
  refused = false;

  give(run: string): void {
    if (this.refused) throw new CutoverError("helper_unreachable", "The helper does not answer.");
    this.given.push(run);
  }
}
