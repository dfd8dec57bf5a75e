/** What the owner of the host may write about an app. */
export const hostFiles = {
  usual: {},
  "no ports": { ports: undefined },
  "other address": { listen: [8080] },
  "other domain": { domains: ["other.example.org"] },
};
