/** What the agent loads if agent.yml publishes apps. */
export { PublicLooks } from "./looks.ts";
export { createPublicPage } from "./page.ts";
