import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quickShop } from "../fixtures/shop.ts";
import { systemPath } from "../harness/places.ts";
import { freePortRange } from "../harness/ports.ts";
import { processId } from "../harness/processes.ts";
import { idsOf, users } from "../harness/two-processes.ts";
import { Fleet, versionOf } from "./hosts.ts";

/** T8: another local user, who takes an app's port as soon as it is chosen, and answers as a healthy instance would. */
let fleet: Fleet;

beforeAll(async () => {
  const shop = { ...quickShop, server: { ...quickShop.server, bind: "port" as const }, keep_warm: "0s" };
  fleet = await Fleet.start(1, { settings: { ports: await freePortRange(30) }, shop });
  await host().agent.startWithHelper();
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

const stranger = `
import glob, http.server, json, sys
known = set(sys.argv[2:])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"stranger")
    def log_message(self, *_):
        pass
print("waiting", flush=True)
while True:
    for file in glob.glob(sys.argv[1] + "/*.json"):
        if file.split("/")[-1] in known:
            continue
        try:
            port = json.load(open(file))["ports"][0]
            http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
        except (OSError, ValueError):
            pass
`;

test("T8 another user's process on an instance's port gets no visitor, and the deploy says so", async () => {
  const { agent, site } = host();
  await fleet.deploy({ version: "v1" });
  const ports = join(agent.directory, "data/apps/shop/ports");
  const { uid, gid } = idsOf(users.otherApp);
  const as = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--"];
  const argv = [...as, "/usr/bin/python3", "-c", stranger, ports, ...readdirSync(ports)];
  const child = spawn("setpriv", argv, { stdio: ["ignore", "pipe", "inherit"], env: { PATH: systemPath } });
  if (child.pid !== undefined) agent.scratch.adopt(processId(child.pid));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  await fleet.checkout({ version: "v2" });
  const { exitCode, stdout } = await fleet.action();
  child.kill("SIGKILL");
  expect(exitCode).toBe(1);
  expect(stdout).toContain("port_taken");
  expect(stdout).toContain(`A process of user ${uid} listens on port`);
  expect((await versionOf(site)).version).toBe("v1");
  await fleet.deploy({ version: "v3" });
  expect((await versionOf(site)).version).toBe("v3");
});
