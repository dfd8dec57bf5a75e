import type { Trusted } from "../../settings-trust.ts";
import type { Difference } from "./github-claims.ts";

/**
 * Whether an entry's last day is over. @param now in milliseconds since the epoch
 * @returns what the log says of it
 */
export function expired({ expires }: Pick<Trusted, "expires">, now: number): Difference | undefined {
  if (expires === undefined) return undefined;
  const today = new Date(now).toISOString().slice(0, 10);
  return today <= expires ? undefined : { condition: "expires", expected: `until ${expires}`, got: today };
}
