import type { Privileged } from "../../agent/contracts/privileged.ts";

/** A host whose nginx needs nothing. */
export const noNginx = {
  checkSite: async () => {},
  writeSite: async () => ({ changed: false }),
  upstreamServers: async () => ({ main: [], preview: [], unread: false }),
  rotateRequests: async () => {},
  oldWorkers: async () => false,
} satisfies Partial<Privileged>;
