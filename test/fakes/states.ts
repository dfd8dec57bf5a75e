import type { Ports } from "../../agent/contracts/ports.ts";
import { CutoverError } from "../../shared/errors.ts";

/** Keeps the states of apps as texts, as the files on a disk would. */
export function memoryStates(disk: { state: Map<string, string> }): Ports["states"] {
  return {
    load: async (app) => {
      const text = disk.state.get(app);
      try {
        return text === undefined ? undefined : JSON.parse(text);
      } catch (cause) {
        throw new CutoverError("state_unreadable", `The state of ${app} cannot be read: it is not JSON.`, {
          cause,
        });
      }
    },
    keepCopy: async (app) => {
      const text = disk.state.get(app);
      if (text === undefined) return undefined;
      disk.state.set(`${app}.before-repair`, text);
      return "state.json.before-repair";
    },
    save: async (app, state) => {
      disk.state.set(app, JSON.stringify(state));
    },
  };
}
