import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RunPorts } from "../../../agent/host/net/run-ports.ts";
import { configSchema } from "../../../shared/config.ts";
import { HelperHost, type Talk } from "../../harness/helper-host.ts";
import { systemPath } from "../../harness/places.ts";
import { processId } from "../../harness/processes.ts";
import { endOf } from "../../harness/run.ts";
import { idsOf, users } from "../../harness/two-processes.ts";

/** T8: with `bind: port` every user of the host may listen on an app's port, which is written in a file that all can read. */
const run = "20261121T103000Z-3f2c1ab";
const config = configSchema.parse({
  app: "shop",
  server: { kind: "gunicorn", app: "shop:app", bind: "port", instances: 2 },
});
const spec = { app: "shop", run, release: run, config };
let host: HelperHost;
let talk: Talk;
let addresses: string[];
const listeners: ChildProcess[] = [];

beforeAll(async () => {
  host = await HelperHost.open();
  talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
  // As its start would choose them.
  const allowed = Array.from({ length: 10 }, (_, index) => 21_000 + index);
  const chosen = { app: "shop", run, count: 2, allowed: async () => ({ ports: allowed, file: "shop.yml" }) };
  await new RunPorts(join(host.directory, "data")).of(chosen);
  addresses = ((await talk.done("instances", spec)) as { address: string }[]).map(({ address }) => address);
});
afterEach(async () => {
  for (const child of listeners.splice(0)) {
    const ended = child.exitCode === null ? endOf(child) : undefined;
    child.kill("SIGKILL");
    await ended;
  }
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** Listens on the port of one of the instances. @param only on IPv6 without IPv4 */
async function listen(user: string, index: number, address = "127.0.0.1", only = false): Promise<void> {
  const code = `import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if sys.argv[3] == "true":
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(8)
print("listening", flush=True)
time.sleep(60)`;
  const { uid, gid } = idsOf(user);
  const as = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--"];
  const port = addresses[index]?.split(":")[1] ?? "";
  const child = spawn("setpriv", [...as, "/usr/bin/python3", "-c", code, address, port, String(only)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: systemPath },
  });
  if (child.pid !== undefined) host.scratch.adopt(processId(child.pid));
  listeners.push(child);
  await new Promise((resolve, reject) => {
    child.stdout.once("data", resolve);
    child.once("exit", reject);
  });
}

describe("T8 a listener counts only if it is the app's user's:", () => {
  test("nothing, one and both of the app's instances listen", async () => {
    expect(await talk.done("listening", spec)).toEqual([]);
    await listen(users.app, 0);
    expect(await talk.done("listening", spec)).toEqual([addresses[0]]);
    await listen(users.app, 1, "0.0.0.0");
    expect(await talk.done("listening", spec)).toEqual(addresses);
  });

  test.each(["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"])(
    "another user on the port of one, at %s, is found",
    async (address) => {
      await listen(users.app, 0);
      await listen(users.otherApp, 1, address);
      const { error } = await talk.ask("listening", spec);
      expect(error?.code).toBe("port_taken");
      expect(error?.detail).toContain(`A process of user ${idsOf(users.otherApp).uid} listens on port`);
    },
  );

  test("a twin of another user beside the app's own listener is found", async () => {
    await listen(users.app, 0);
    // The kernel lets nobody share the port of one address with another user, not even root.
    await expect(listen(users.otherApp, 0)).rejects.toBe(1);
    await listen(users.otherApp, 0, "::", true);
    expect((await talk.ask("listening", spec)).error?.code).toBe("port_taken");
  });

  test("another user at another address of the host gets no visitors, and does not count", async () => {
    await listen(users.app, 0);
    await listen(users.otherApp, 0, "127.0.0.9");
    expect(await talk.done("listening", spec)).toEqual([addresses[0]]);
  });
});
