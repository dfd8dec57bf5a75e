import { z } from "zod";

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const pattern = /^(\d{1,6})(ms|s|m|h|d)$/;

/** A duration as nginx writes it: 500ms, 30s, 10m, 24h, 30d. Kept as text, so that a checked file checks again. */
export const duration = z
  .string({
    error: ({ input }) =>
      `a duration has a unit${typeof input === "number" ? `: write ${input}s` : ", such as 30s, 10m or 24h"}`,
  })
  .regex(pattern, "a duration such as 30s, 10m or 24h");

/** Milliseconds of a checked duration. */
export function milliseconds(text: string): number {
  const [, count, unit] = pattern.exec(text) ?? [];
  if (count === undefined || unit === undefined) throw new RangeError(`not a duration: ${text}`);
  return Number(count) * units[unit as keyof typeof units];
}
