import { z } from "zod";

/** Who has traffic, in the order of the shares: the live run, then the canary. */
export type Role = "live" | "canary";

/** Which run each address of nginx's upstream leads to, in nginx's notation. */
export interface Leading {
  runs: string[];
  /** What the addresses of all slots begin with, and for each slot the index of its run, as one digit. Empty with ports. */
  links: string;
  slots: string;
  /** The index of the run on each port of 127.0.0.1. */
  ports: Record<string, number>;
}

export const savedHistory = z.array(
  z.object({
    /** The traffic moved between these two, in milliseconds since the epoch. Without `until` it may not have moved at all. */
    from: z.number(),
    until: z.number().optional(),
    runs: z.array(z.string()).max(10),
    links: z.string(),
    slots: z.string(),
    ports: z.record(z.string(), z.number()),
  }),
);
type Move = z.infer<typeof savedHistory>[number];

/** How many moves are remembered. A request that was on its way for longer belongs to no run. */
const kept = 20;

/** nginx's clock is that of its last event, and a busy worker's may be a little behind. In milliseconds. */
const slackMs = 20;

/** Which run an app's slots led to, and when: from this a request gets its release. */
export class RunHistory {
  #moves: Move[];
  /** When a history of another agent was written: what it does not say may have happened since. */
  #unknownSince: number | undefined;

  /** @param writtenAt when `saved` was written by an earlier agent */
  constructor(saved: Move[] = [], writtenAt?: number) {
    this.#moves = saved;
    this.#unknownSince = writtenAt;
  }

  get saved(): Move[] {
    return this.#moves;
  }

  /** The traffic is about to move there. @returns whether that is not known already */
  begin(leading: Leading, now: number): boolean {
    const last = this.#moves.at(-1);
    if (last !== undefined && isSame(last, leading) && last.until !== undefined) return false;
    if (last === undefined || !isSame(last, leading)) {
      this.#moves = [...this.#moves.slice(1 - kept), { ...leading, from: (this.#unknownSince ?? now) - slackMs }];
    }
    return true;
  }

  /** The traffic is there. @param always it was there before, as far as is known */
  end(now: number, { always }: { always: boolean }): void {
    const last = this.#moves.at(-1);
    this.#unknownSince = undefined;
    if (last === undefined) return;
    if (always && this.#moves.length === 1) last.from = 0;
    last.until ??= always && last.from === 0 ? 0 : now + slackMs;
  }

  /** Somebody has set the clock: only where the slots lead now is still known. */
  forgetTimes(): void {
    const last = this.#moves.at(-1);
    this.#moves = last?.until === undefined ? [] : [{ ...last, from: 0, until: 0 }];
  }

  /**
   * Who answered on an address to which nginx connected in this time.
   * @returns undefined if that is no address of the app's, or if its slot moved meanwhile
   */
  at(address: string, { from, to }: { from: number; to: number }): { run: string; role: Role } | undefined {
    const latest = this.#candidates(address, to);
    const [found] = latest;
    if (found === undefined) return undefined;
    const all = from < to ? [...latest, ...this.#candidates(address, from)] : latest;
    return all.every(({ run }) => run === found.run) ? found : undefined;
  }

  /** All whom it may have been at one moment: several while the traffic moves. */
  #candidates(address: string, time: number): { run: string; role: Role }[] {
    const found: { run: string; role: Role }[] = [];
    for (const move of this.#moves.toReversed()) {
      if (move.from > time) continue;
      const index = indexOf(move, address);
      const run = index === undefined ? undefined : move.runs[index];
      if (run === undefined) continue;
      found.push({ run, role: index === 0 ? "live" : "canary" });
      if (move.until !== undefined && move.until <= time) break;
    }
    return found;
  }
}

function indexOf({ links, slots, ports }: Move, address: string): number | undefined {
  if (links !== "" && address.startsWith(links)) {
    const digit = slots[Number(address.slice(links.length))];
    return digit === undefined ? undefined : Number(digit);
  }
  return ports[address.slice(address.lastIndexOf(":") + 1)];
}

function isSame(a: Leading, b: Leading): boolean {
  const text = ({ runs, links, slots, ports }: Leading) => JSON.stringify([runs, links, slots, ports]);
  return text(a) === text(b);
}
