/** The numbers of a user and of all its groups. */
export interface Identity {
  name: string;
  uid: number;
  gids: number[];
}

/** What `stat` returns for a path. */
export interface Entry {
  path: string;
  mode: number;
  uid: number;
  gid: number;
}

const bits = { read: 4, write: 2, pass: 1 } as const;

/** Decides as the kernel does: the owner gets the owner's bits, else a member of the group the group's, else the others'. Root may do everything. */
export function may(what: keyof typeof bits, { mode, uid, gid }: Entry, who: Identity): boolean {
  if (who.uid === 0) return true;
  const shift = who.uid === uid ? 6 : who.gids.includes(gid) ? 3 : 0;
  return ((mode >> shift) & bits[what]) !== 0;
}

/** The first directory on the path that somebody may not pass, or the socket at its end that they may not open. */
export function obstacle(entries: Entry[], who: Identity): Entry | undefined {
  return entries.find((entry) => !may(entry.path.endsWith(".sock") ? "write" : "pass", entry, who));
}

/** Such as `0750, owner 0, group 33`. */
export function described({ mode, uid, gid }: Entry): string {
  return `${(mode & 0o7777).toString(8).padStart(4, "0")}, owner ${uid}, group ${gid}`;
}
