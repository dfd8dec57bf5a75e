import type { Requests } from "../../agent/contracts/requests.ts";

/** A host whose nginx writes no lines of requests. */
export const noRequests: Requests = {
  read: async () => {},
  counted: (_app, { from, to = from }) => ({ from, to, readUntil: 0, absent: true, runs: [] }),
  totals: () => ({}),
};
