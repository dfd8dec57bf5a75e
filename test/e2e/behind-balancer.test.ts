import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask } from "../agent/host/nginx/site-host.ts";
import { haproxyAddress, haproxyInFront } from "../harness/haproxy.ts";
import { Fleet, siteName } from "./hosts.ts";

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start(1);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

/** What Django's documentation asks for behind something that ends TLS. */
const redirecting = `
SECURE_SSL_REDIRECT = True
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *MIDDLEWARE]
`;

test("H11 Django that sends all to https, deployed behind HAProxy: visitors are served, and the deploy warns only without trusted_proxies", async () => {
  const [host] = fleet.hosts;
  if (host === undefined) throw new Error("no host");
  const env = { SHOP_ALLOWED_HOSTS: siteName };
  const lines = ["option forwardfor", "http-request set-header X-Forwarded-Proto https"];
  const balancer = await haproxyInFront(host.port, { lines });
  const visitor = (port: number, secure: boolean) =>
    ask(port, "/version", { secure, from: "127.7.7.7", headers: { host: siteName, "x-forwarded-proto": "https" } });
  const deployed = async (version: string) => {
    await fleet.checkout({ version, config: { env, site: { server_name: [siteName] } } });
    await appendFile(join(fleet.workspace, "shop/settings.py"), redirecting);
    const { exitCode, stdout, annotations } = await fleet.action();
    expect(exitCode, stdout).toBe(0);
    return annotations.map(({ message }) => message).join("\n");
  };
  expect(await deployed("v1")).toMatch(/sends every visitor to https:.*trusted_proxies: \[\.\.\.\]/);
  expect((await visitor(balancer, true)).status).toBe(301);
  await host.agent.changeAgentSettings({ trusted_proxies: [haproxyAddress] });
  // The agent has written the site again at its start.
  await expect.poll(async () => (await visitor(balancer, true)).text).toMatch(/^v1 /);
  expect(await deployed("v2")).not.toMatch(/sends every visitor/);
  expect((await visitor(balancer, true)).text).toMatch(/^v2 /);
  // Whoever gets around the balancer, and says that he came by https, came by plain HTTP.
  expect((await visitor(host.port, false)).status).toBe(301);
});
