type Check<In, Out> = (known: In) => Promise<Out> | Out;

export interface Chain<In, Out> {
  /** Adds a check that needs no more than what the chain knows by then. */
  next<Next>(check: Check<Out, Next>): Chain<In, Next>;
  /** Runs the checks one after the other, up to the first that throws. */
  run(known: In): Promise<Out>;
}

/** Checks in their order: each takes what the one before it returned, and the types hold them to it. */
export function chain<In, Out>(check: Check<In, Out>): Chain<In, Out> {
  const run = async (known: In) => check(known);
  return { run, next: (following) => chain(async (known: In) => following(await run(known))) };
}
