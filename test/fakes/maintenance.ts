import type { Ports } from "../../agent/contracts/ports.ts";
import type { MaintenanceView } from "../../shared/protocol.ts";

/** Keeps whether the site is closed as a file on a disk would. */
export function memoryMaintenance(
  disk: { maintenance: MaintenanceView | undefined },
  now: () => number,
  effect: (name: string) => Promise<void>,
): Ports["maintenance"] {
  return {
    state: async () => disk.maintenance,
    begin: async (_app, allow) => {
      await effect(`maintenance.begin ${allow.join(" ")}`);
      disk.maintenance = { since: new Date(now()).toISOString(), allow };
      return disk.maintenance;
    },
    end: async () => {
      await effect("maintenance.end");
      disk.maintenance = undefined;
    },
  };
}
