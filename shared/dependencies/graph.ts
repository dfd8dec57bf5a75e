import { always, both, type Condition, either, equal, markerOf, never } from "./markers.ts";

/** A package of a lock, as its graph is walked. */
export interface LockedPackage<T> {
  /** Normalized. */
  name: string;
  version: string;
  needs: Edge[];
  /** What its extras add, by their normalized names. */
  extras: Map<string, Edge[]>;
  /** What the lock's reader needs of it later. */
  what: T;
}

/** One dependency. */
export interface Edge {
  name: string;
  extras: string[];
  marker: string;
  /** Tells apart packages that a lock has in several versions. */
  version?: string | undefined;
  /** The versions that it admits, for locks that name no version in an edge. */
  constraint?: string | undefined;
}

export interface Reached<T> {
  reached: { what: T; marker: string }[];
  /** Names that something needs and the lock does not have. */
  missing: string[];
}

/**
 * What the roots need, directly or through others, each with the environments in which it is needed.
 * @param packages all that the lock has; a name may be there in several versions
 */
export function reach<T>(packages: LockedPackage<T>[], roots: Edge[]): Reached<T> {
  const byName = Map.groupBy(packages, ({ name }) => name);
  const wanted = new Map<LockedPackage<T>, Condition>();
  /** The conditions under which the edges of a package, or of one of its extras, were followed already. */
  const followed = new Map<string, Condition>();
  const numbers = new Map(packages.map((one, index) => [one, index]));
  const missing = new Set<string>();
  const queue: { edge: Edge; condition: Condition }[] = roots.map((edge) => ({ edge, condition: always }));

  const follow = (key: string, edges: Edge[], condition: Condition): void => {
    const before = followed.get(key) ?? never;
    const now = either(before, condition);
    if (equal(before, now)) return;
    followed.set(key, now);
    for (const edge of edges) queue.push({ edge, condition: now });
  };

  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { edge } = next;
    const condition = both(next.condition, edge.marker);
    const found = chosen(byName.get(edge.name) ?? [], edge);
    if (found.length === 0) missing.add(edge.name);
    for (const one of found) {
      wanted.set(one, either(wanted.get(one) ?? never, condition));
      follow(`${numbers.get(one)}`, one.needs, condition);
      for (const extra of edge.extras) follow(`${numbers.get(one)} ${extra}`, one.extras.get(extra) ?? [], condition);
    }
  }
  const reached = packages.flatMap((one) => {
    const condition = wanted.get(one);
    return condition === undefined ? [] : [{ what: one.what, marker: markerOf(condition) }];
  });
  return { reached, missing: [...missing].toSorted() };
}

function chosen<T>(candidates: LockedPackage<T>[], { version }: Edge): LockedPackage<T>[] {
  if (version === undefined || candidates.length < 2) return candidates;
  return candidates.filter((one) => one.version === version);
}
