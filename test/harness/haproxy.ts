import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { eventually, freePort, scratch } from "../agent/host/scratch.ts";
import { makeCertificate } from "./certificate.ts";

/** Where HAProxy's connections to a host come from. */
export const haproxyAddress = "127.0.9.9";

/**
 * HAProxy of one test, which ends TLS in front of a host.
 * @param server more words for its line of the host
 * @param lines before it
 * @returns its port
 */
export async function haproxyInFront(port: number, { server = "", lines = [] as string[] } = {}): Promise<number> {
  const dir = scratch();
  const own = await freePort();
  const { certificate, key } = await makeCertificate(dir, "front");
  writeFileSync(join(dir, "both.pem"), certificate + key);
  writeFileSync(
    join(dir, "haproxy.cfg"),
    `defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen shop
  bind 127.0.0.1:${own} ssl crt ${dir}/both.pem
  ${lines.join("\n  ")}
  server host 127.0.0.1:${port} source ${haproxyAddress} ${server}
`,
  );
  const haproxy = spawn("/usr/sbin/haproxy", ["-db", "-f", join(dir, "haproxy.cfg")], { stdio: "ignore" });
  const ended = once(haproxy, "exit");
  onTestFinished(async () => {
    haproxy.kill("SIGTERM");
    await ended;
  });
  await eventually(() => listens(own));
  return own;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    }).once("error", () => resolve(false));
  });
}
