/**
 * Faults that the simulation has found and that are not mended yet, each by a part of the text in which it shows. A history
 * passes over these. Whoever mends a fault takes its line out, and the simulation then proves the mending.
 */
export const knownFaults: readonly { name: string; shows: string }[] = [
  { name: "C1: the way back goes to a run that was retired", shows: "where no program runs" },
  { name: "C1: and its visitors find it gone", shows: "stopped by the agent" },
  { name: "C1: what went back is said before it has", shows: "and slots lead to" },
  {
    name: "C15: a reload that was taken for refused is served, and what it leads to is stopped",
    shows: "is stopped, and has slots",
  },
  { name: "C2: url_hash takes equal ports as one server", shows: "and url_hash gives" },
  { name: "C3: one unanswered question ends the watch of a canary", shows: "fails its visitors, and keeps its share" },
  { name: "C4: a cutover that has moved is undone", shows: "was taken back, and all of the traffic had moved" },
  { name: "C5: a refused activation destroys what was staged", shows: "what was staged is gone" },
  { name: "C5: and says that nothing was changed", shows: "and live or staged is another" },
  {
    name: "C8: a start takes the apps up one after the other",
    shows: "was to go on when the agent is back, and was undone",
  },
  { name: "a start that meets a fault does not try again later", shows: "nobody takes it up" },
  { name: "a warm run whose end was not written stays for ever", shows: "nobody retires it" },
  { name: "C9: restarts alone hold an app", shows: "is held, and nothing had gone wrong" },
  { name: "C10: an abort is lost", shows: "an abort of a" },
  { name: "C12: a canary older than the history cannot be taken back", shows: "is staged, and cannot be aborted" },
  { name: "C13: a failed deployment loses `previous`", shows: "and previous is" },
  { name: "C14: a stale pid file of nginx", shows: "SIGHUP went to pid" },
  {
    name: "C15, C16: a reload is refused for what another does",
    shows: "was refused for something that is not its own",
  },
  { name: "C17: two apps with one domain", shows: "and its visitors get one of them" },
  { name: "C18: two maintenance calls at once", shows: "maintenance lets" },
  { name: "C19: a bundle that is sent again", shows: "neither live nor staged" },
  { name: "C19: and aborts its own activation", shows: "as if it were a second upload" },
  { name: "C20: 31 to 59 instances", shows: "slots: one gets" },
  { name: "what cannot be undone now waits for a restart or a call", shows: "stays open at" },
  { name: "and its visitors stay with it", shows: "which is nothing" },
  { name: "an interrupted cutover that nginx refuses never ends", shows: "the next deploy of" },
  { name: "a pinned release that failed stays on disk", shows: "at rest a release of" },
  { name: "a status that is read while a run goes chooses ports for it again", shows: "a choice of ports of" },
  { name: "and holds its app at rest", shows: "is still open" },
  { name: "a canary whose undo is tried again is not drained", shows: "ms after its slots went, with requests open" },
  { name: "health is as old as the retirement of others takes", shows: "where an instance is" },
  { name: "an app that could not be removed is live in memory", shows: "is live instead of" },
];

export const tolerated = knownFaults.map(({ shows }) => shows);
