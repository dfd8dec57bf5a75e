import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { cutoverProgram, node } from "../../harness/places.ts";
import { freePorts } from "../../harness/ports.ts";
import { TestHost } from "../cli/support.ts";

/** The built command. @returns what it printed first, and the process */
async function start(host: TestHost, options: string[]) {
  const child = spawn(node, [cutoverProgram, "ui", ...options], {
    env: { CUTOVER_EMBEDDED: host.directory },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [printed] = (await once(child.stdout, "data")) as [Buffer];
  return { text: printed.toString(), child };
}

test("cutover ui prints an address that opens the page, with its script and style sheet, until it is ended", async () => {
  const host = await TestHost.make();
  await host.startAgent();
  const { text, child } = await start(host, ["--port", "0", "--json"]);
  try {
    const { address } = JSON.parse(text) as { address: string };
    const { origin } = new URL(address);
    const entered = await fetch(address);
    const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
    const get = async (path: string) => (await fetch(`${origin}${path}`, { headers: { cookie } })).text();
    expect(await get("/apps/shop")).toContain("<h1>shop</h1>");
    expect(await get("/page.js")).toContain("EventSource");
    expect(await get("/page.css")).toContain("light-dark(");
    expect(await get("/doctor")).toContain("agent");
  } finally {
    child.kill();
    await once(child, "exit");
    await host.close();
  }
});

test("without --json it says how to come to it by ssh; a port that is taken is told", async () => {
  const host = await TestHost.make();
  await host.startAgent();
  const [port = 0] = await freePorts(1);
  const { text, child } = await start(host, ["--port", String(port)]);
  try {
    expect(text).toContain(`ssh -L ${port}:127.0.0.1:${port} `);
    expect(text).toMatch(new RegExp(`http://127\\.0\\.0\\.1:${port}/enter\\?token=[\\w-]{43}\n`));
    const { exit, err } = await host.run(["ui", "--port", String(port)]);
    expect([exit, err]).toEqual([1, expect.stringContaining("[address_in_use]")]);
  } finally {
    child.kill();
    await once(child, "exit");
    await host.close();
  }
});
