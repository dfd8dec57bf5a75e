/** What the owner of the host may write about an app. */
export const hostFiles = {
  usual: {},
  "no ports": { ports: undefined },
  "other domain": { domains: ["other.example.org"] },
};
