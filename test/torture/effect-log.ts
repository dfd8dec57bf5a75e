import { existsSync, readFileSync, rmSync } from "node:fs";
import { type Effect, effects } from "../../agent/effects.ts";

/** A line that an agent with CUTOVER_FAULTS logs at an effect. */
export interface Logged {
  /** Milliseconds since that agent's start. */
  at: number;
  when: "before" | "after";
  effect: Effect;
  /** Which of several effects of this name, such as a path. */
  what: string;
}

/** Takes the lines since the last call out of the file. */
export function takeEffectLog(file: string): Logged[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  rmSync(file);
  return lines.flatMap((line) => {
    const [at = "", when, name, what = ""] = line.split(" ");
    const effect = effects.find((each) => each === name);
    if (effect === undefined || (when !== "before" && when !== "after")) return [];
    return [{ at: Number(at), when, effect, what }];
  });
}
