/** How often an agent is asked again, and how long its answers may take. */
export interface ClientTiming {
  /** How often a call is repeated, if it may be. Each pause is twice as long as the last, up to `longestDelayMs`. */
  retries: number;
  /** The same for an agent that has answered before: during an upgrade it takes 10 s to end, and then starts again. */
  retriesWhenKnown: number;
  firstDelayMs: number;
  longestDelayMs: number;
  /** How long an answer to a short call may take. */
  answerMs: number;
  /** How long an agent may take to answer with the files of a release. */
  filesMs: number;
  /** How long a stream of events may be silent before it counts as broken. */
  eventsIdleMs: number;
  /** How long a look for TLS may take. */
  probeMs: number;
  /** How long to look for an agent that has stopped sending events. */
  lostAfterMs: number;
}

export const usualTiming: ClientTiming = {
  retries: 4,
  retriesWhenKnown: 10,
  firstDelayMs: 500,
  longestDelayMs: 5000,
  answerMs: 60_000,
  filesMs: 10_000,
  probeMs: 3000,
  eventsIdleMs: 60_000,
  lostAfterMs: 120_000,
};
