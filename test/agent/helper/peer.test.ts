import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { repository } from "../../harness/places.ts";
import { scratch } from "../host/scratch.ts";

const peer = pathToFileURL(join(repository, "agent/helper/peer.ts")).href;
const program = `import { connectedUser } from ${JSON.stringify(peer)};
console.log(await connectedUser(JSON.parse(process.argv[1])).catch((error) => [error.code, error.fix].join(" ")));`;

/** What a program says whose standard input is a connection that this process has made. */
async function asked(pythons: string[]): Promise<string> {
  const path = join(scratch(), "helper.sock");
  const server = createServer({ pauseOnConnect: true }).listen(path);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const client = connect(path);
  onTestFinished(() => void client.destroy());
  const [connection] = await once(server, "connection");
  onTestFinished(() => connection.destroy());
  const node = ["--no-warnings", "--input-type=module", "-e", program, "--", JSON.stringify(pythons)];
  const child: ChildProcess = spawn(process.execPath, node, { stdio: [connection, "pipe", "inherit"] });
  return (await text(child.stdout as NodeJS.ReadableStream)).trim();
}

/** As `pyenv` puts one into /usr/local/bin, for a root that has no pyenv. */
function brokenPython(): string {
  const path = join(scratch(), "python3");
  writeFileSync(path, '#!/bin/sh\nexec /nonexistent/pyenv exec python3 "$@"\n');
  chmodSync(path, 0o755);
  return path;
}

test("who calls is known although a python3 on the way does not work, or is not there", async () => {
  expect(await asked([brokenPython(), "/nonexistent/python3", "/usr/bin/python3"])).toBe(String(process.getuid?.()));
});

test("when no Python works, that is said, and not that somebody else controls the agent", async () => {
  expect(await asked([brokenPython()])).toMatch(/^python_not_found Install the distribution's Python/);
});
