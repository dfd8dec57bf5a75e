import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { settingsStatus } from "../../../agent/contracts/exit-status.ts";
import { readTlsPair } from "../../../agent/host/net/tls-files.ts";
import { readAgentSettings } from "../../../agent/host/store/apps-dir.ts";
import { AnotherAgent } from "../../../agent/http/admin-server.ts";
import { listening } from "../../../agent/http/server.ts";
import { lastWords } from "../../../agent/wire/last-words.ts";
import { Scratch } from "../../harness/scratch.ts";

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
const systemd = { INVOCATION_ID: "0123" };

test("a fault that only a person can correct ends the agent for good, with how to go on", async () => {
  await using scratch = new Scratch("last-words");
  const file = join(scratch.path, "agent.yml");
  await writeFile(file, "listen: [7070]\n");
  const pem = join(scratch.path, "absent.pem");
  for (const read of [() => readAgentSettings(file), () => readTlsPair({ certificate: pem, key: pem })]) {
    const { status, text } = lastWords(await thrownBy(read()), systemd);
    expect(status).toBe(settingsStatus);
    expect(text).toContain("systemctl restart cutover-agent");
  }
});

test("without systemd nobody speaks of it", async () => {
  await using scratch = new Scratch("last-words");
  const file = join(scratch.path, "agent.yml");
  await writeFile(file, "listen: [7070]\n");
  expect(lastWords(await thrownBy(readAgentSettings(file)), {}).text).not.toContain("systemctl restart");
});

test("what passes by itself is tried again: an address in use, another agent that stops, a defect", async () => {
  const [first, second] = [createServer(), createServer()];
  await listening(first, { port: 0, host: "127.0.0.1" }, "any");
  const { port } = first.address() as { port: number };
  const taken = await thrownBy(listening(second, { port, host: "127.0.0.1" }, `127.0.0.1:${port}`));
  first.close();
  for (const thrown of [taken, new AnotherAgent("/run/cutover/agent.sock"), new Error("a defect")])
    expect(lastWords(thrown, systemd).status).toBe(1);
});
