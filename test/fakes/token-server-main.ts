import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { TokenServer } from "./token-server.ts";

/**
 * The token server as a process of its own, for hosts that are not this one. Prints one line of JSON with its addresses,
 * the bearer for a job's environment among them, and ends with SIGTERM.
 *   node test/fakes/token-server-main.ts --port 9080 --key /run/issuer.pem --claims '{"repository":"acme/blog"}'
 */
const { values } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    issuer: { type: "string" },
    claims: { type: "string", default: "{}" },
    key: { type: "string" },
    "tls-cert": { type: "string" },
    "tls-key": { type: "string" },
  },
});
const { host, issuer, key, "tls-cert": cert, "tls-key": tlsKey } = values;
const server = await TokenServer.start({
  host,
  port: Number(values.port),
  claims: JSON.parse(values.claims),
  ...(issuer !== undefined && { issuer }),
  ...(key !== undefined && { keyFile: key }),
  ...(cert !== undefined &&
    tlsKey !== undefined && { tls: { cert: readFileSync(cert, "utf8"), key: readFileSync(tlsKey, "utf8") } }),
});
const { url, jwks, env } = server;
process.stdout.write(`${JSON.stringify({ issuer: server.issuer, url, jwks, env })}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void server[Symbol.asyncDispose]().then(() => process.exit(0)));
}
