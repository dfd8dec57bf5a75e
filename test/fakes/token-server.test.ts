import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Scratch } from "../harness/scratch.ts";

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch("tokens");
});
afterEach(() => scratch[Symbol.asyncDispose]());

interface Said {
  issuer: string;
  jwks: string;
  env: { ACTIONS_ID_TOKEN_REQUEST_URL: string; ACTIONS_ID_TOKEN_REQUEST_TOKEN: string };
}

async function started(...more: string[]): Promise<{ said: Said; end(): Promise<void> }> {
  const argv = ["test/fakes/token-server-main.ts", "--key", `${scratch.path}/issuer.pem`, ...more];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const [line] = await once(child.stdout, "data");
  const end = async () => {
    child.kill("SIGTERM");
    await closed;
  };
  return { said: JSON.parse(String(line)), end };
}

test("as a process it gives a job tokens that its published keys verify, the same after a restart", async () => {
  const audience = "cutover/v1/web1.example.com:7070/shop/read";
  const tokens: string[] = [];
  const first = await started("--claims", '{"repository":"acme/blog"}', "--issuer", "https://issuer.example.com");
  try {
    const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = first.said.env;
    const ask = (authorization: string) =>
      fetch(`${url}&audience=${encodeURIComponent(audience)}`, { headers: { authorization } });
    expect((await ask("Bearer other")).status).toBe(401);
    const { value } = (await (await ask(`Bearer ${bearer}`)).json()) as { value: string };
    tokens.push(value);
  } finally {
    await first.end();
  }
  const second = await started();
  try {
    const keys = createRemoteJWKSet(new URL(second.said.jwks));
    const { payload } = await jwtVerify(tokens[0] ?? "", keys, { audience, issuer: "https://issuer.example.com" });
    expect(payload).toMatchObject({ repository: "acme/blog", repository_id: "1296269", environment: "production" });
  } finally {
    await second.end();
  }
});
