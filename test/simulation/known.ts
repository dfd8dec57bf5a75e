/**
 * Faults that the simulation has found and that are not mended yet, each by a part of the text in which it shows. A history
 * passes over these. Whoever mends a fault takes its line out, and the simulation then proves the mending.
 */
export const knownFaults: readonly { name: string; shows: string }[] = [];

export const tolerated = knownFaults.map(({ shows }) => shows);
