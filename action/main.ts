import { shedSecrets } from "./runner/secrets.ts";

const secrets = shedSecrets();
// Loaded only now: the first of the two lives of this process needs none of it.
void import("./start.ts").then(({ start }) => start({ ...process.env, ...secrets }));
