import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Instance } from "../../../../agent/contracts/privileged.ts";
import { SocketProbe } from "../../../../agent/host/net/health.ts";
import { hasBacklog } from "../../../../agent/host/net/proc-net.ts";
import { strayListeners } from "../../../../agent/host/net/stray-listeners.ts";
import { freePort, scratch } from "../scratch.ts";

/** Starts a process that listens there and accepts nothing, and its child that listens on the last of them. */
async function listening(...places: (string | number)[]): Promise<number> {
  const program = join(import.meta.dirname, "listeners.py");
  const child = spawn("python3", [program, ...places.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const { pid } = child;
  if (pid === undefined) throw new Error("python3 did not start");
  onTestFinished(() => void process.kill(-pid, "SIGKILL"));
  await once(child.stdout, "data");
  return pid;
}

const at = (address: string): Instance => ({ name: "web-0", address, protocol: "http" });

test("what a process and its descendants listen on is found, apart from where they should", async () => {
  const [own, other, ofChild] = [await freePort(), await freePort(), await freePort()];
  const pid = await listening(own, other, ofChild);
  const found = await strayListeners([pid], [at(`127.0.0.1:${own}`)]);
  expect(found.toSorted()).toEqual([`127.0.0.1:${other}`, `127.0.0.1:${ofChild}`].toSorted());
  expect(await strayListeners([2 ** 22 - 1], [at("unix:/run/web-0.sock")])).toEqual([]);
});

test("a connection that nothing accepts is told from one that gets no answer", async () => {
  const socket = join(scratch(), "web.sock");
  const port = await freePort();
  await listening(socket, port, await freePort());
  const probe = new SocketProbe("9.9.9");
  for (const address of [`unix:${socket}`, `127.0.0.1:${port}`]) {
    expect(await hasBacklog(address)).toBe(false);
    expect(await probe.check(at(address), { path: "/", host: "localhost", timeoutMs: 100 })).toEqual({
      kind: "unreachable",
      reason: "nothing accepted the connection within 100 ms",
      how: "waiting",
    });
  }
});
