/**
 * Faults that the simulation has found and that are not mended yet, each by a part of the text in which it shows. A history
 * passes over these. Whoever mends a fault takes its line out, and the simulation then proves the mending.
 */
export const knownFaults: readonly { name: string; shows: string }[] = [
  {
    name: "C15: a reload that was taken for refused is served, and what it leads to is stopped",
    shows: "is stopped, and has slots",
  },
  { name: "C2: url_hash takes equal ports as one server", shows: "and url_hash gives" },
  { name: "C14: a stale pid file of nginx", shows: "SIGHUP went to pid" },
  {
    name: "C15, C16: a reload is refused for what another does",
    shows: "was refused for something that is not its own",
  },
  { name: "C17: two apps with one domain", shows: "and its visitors get one of them" },
  { name: "C20: 31 to 59 instances", shows: "slots: one gets" },
  { name: "a status that is read while a run goes chooses ports for it again", shows: "a choice of ports of" },
];

export const tolerated = knownFaults.map(({ shows }) => shows);
