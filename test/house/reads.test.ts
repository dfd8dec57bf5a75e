import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/**
 * Below an app's directory other users may write. What lies there is read with agent/host/store/safe-read.ts alone: a plain
 * read follows a link that somebody left, and waits for a pipe. These functions read by a path; each file that has one of them
 * is listed, with what it reads.
 */
const readers = [
  "readFile",
  "readFileSync",
  "createReadStream",
  "open",
  "openSync",
  "openAsBlob",
  "copyFile",
  "copyFileSync",
  "cp",
  "cpSync",
];

const proc = "the kernel's files in /proc";
const etc = "files of the host's owner";
const own = "the agent's own files beside those of the apps";
const allowed: Record<string, string> = {
  "agent/host/store/safe-read.ts": "this is it",
  // Files that it opens to write, and directories that it opens to sync.
  "agent/host/store/durable.ts": "opens to write: exclusively, what it then renames",
  "agent/host/store/audit-files.ts": own,
  "agent/host/trust/used-tokens.ts": own,
  "agent/host/supervisor/launch-files.ts": "opens to write, exclusively, in a directory of root's",
  "agent/host/bundle/release-writer.ts": "opens to write, exclusively, in a directory of its own",
  "agent/host/bundle/base-release.ts":
    "files of a sealed release, without following a link, and compares what it reads",
  "agent/host/ownership/directory.ts": "directories, without following a link",
  "agent/host/ownership/take-tree.ts": "walks by descriptor what a build left",
  "agent/host/ownership/release-access.ts": "directories, without following a link",
  "agent/host/ownership/socket-access.ts": "directories and sockets, without following a link, only to name them",
  "agent/host/exec/live-command.ts": "directories, without following a link",
  "agent/host/store/objects.ts": "files of its own, which nobody else can reach",
  "agent/host/bundle/verify.ts": "hashes files of the store and of releases, without following a link",
  "agent/host/python/bytecode.ts": "opens to write, exclusively, in a release of the agent's",
  // Not below an app's directory.
  "agent/host/store/read-if-exists.ts": "see `plainReaders`",
  "agent/host/trust/pinned-repositories.ts": own,
  "agent/host/requests/line-files.ts": "what nginx wrote into a directory of root's, without following a link",
  "agent/host/trust/issuer-keys.ts": own,
  "agent/host/embedded/detached.ts": "output of its own nginx and supervisord",
  "agent/host/ownership/owner-file.ts": "files of the host's owner, if nobody else can have led there",
  "agent/host/net/tls-files.ts": etc,
  "agent/host/supervisor/supervisor-errors.ts": etc,
  "agent/host/nginx/refusal.ts": "nginx's error log, below root's /var/log",
  "agent/host/nginx/master.ts": etc,
  "agent/host/exec/processes.ts": proc,
  "agent/host/net/proc-net.ts": proc,
  "agent/host/nginx/master-process.ts": proc,
  "agent/host/supervisor/leftovers.ts": proc,
  "agent/host/supervisor/share.ts": proc,
  "agent/observe/webhooks.ts": etc,
  "agent/ui/assets.ts": "its own script and style sheet",
  "agent/doctor/facts/host.ts": proc,
  "agent/doctor/facts/mounts.ts": proc,
  "agent/doctor/facts/processes.ts": proc,
  "agent/install/setup.ts": etc,
  "agent/cli/host-files/env-file.ts": etc,
  "agent/cli/host-files/places.ts": etc,
  "agent/cli/bundle-digest.ts": "a file that its caller names",
  "agent/cli/commands/check.ts": "a file that its caller names",
  "agent/cli/commands/keys.ts": "a file that its caller names",
  "agent/cli/project/workflow-file.ts": "the project of its caller",
  "agent/cli/project/project-directory.ts": "the project of its caller",
  "agent/cli/project/notes.ts": "the project of its caller",
  // Runs as the app's user, and reads what root wrote for it.
  "agent/launch.ts": "its own launch file, in a directory of root's",
  "agent/faults.ts": "only in tests",
};

/** readIfExists follows links: these read files of the host's owner with it. */
const plainReaders: Record<string, string> = {
  "agent/host/store/apps-dir.ts": etc,
  "agent/host/supervisor/program-group.ts": "supervisor's configuration",
  "agent/host/nginx/domains.ts": "nginx's configuration",
  "agent/host/nginx/site.ts": "nginx's configuration",
  "agent/host/nginx/site-files.ts": "nginx's configuration",
  "agent/host/embedded/supervisord.ts": "supervisor's configuration",
  "agent/host/embedded/embedded.ts": own,
};

const sources = readdirSync("agent", { recursive: true, encoding: "utf8" })
  .map((file) => join("agent", file))
  .filter((file) => file.endsWith(".ts") && !file.startsWith("agent/dist/") && !file.startsWith("agent/packaging/"));

/** The names that a file imports of Node's file system; `*` for all of them. */
function fromFileSystem(text: string): string[] {
  const named = [...text.matchAll(/import\s+\{([^}]*)\}\s+from\s+"(?:node:)?fs(?:\/promises)?"/g)];
  const names = named.flatMap(([, list = ""]) =>
    list.split(",").map((name) =>
      name
        .trim()
        .replace(/^type\s.*/, "")
        .replace(/\s+as\s.*$/, ""),
    ),
  );
  const other = /(?:import\s+(?:\*|\w+)[^;]*from\s+|import\(|require\()"(?:node:)?fs(?:\/promises)?"/.test(text)
    ? ["*"]
    : [];
  return [...names.filter((name) => name !== ""), ...other];
}

const reads = (text: string) =>
  fromFileSystem(text).some((name) => name === "*" || name === "promises" || readers.includes(name));

test("only these files read by a path", () => {
  const found = sources.filter((file) => reads(readFileSync(file, "utf8")));
  expect(found.toSorted()).toEqual(Object.keys(allowed).toSorted());
});

test("only these read what may lie behind a link", () => {
  const found = sources.filter((file) => /\breadIfExists\b/.test(readFileSync(file, "utf8")));
  const known = [...Object.keys(plainReaders), "agent/host/store/read-if-exists.ts"];
  expect(found.toSorted()).toEqual(known.toSorted());
});

test.each([
  ['import { readFile } from "node:fs/promises";', true],
  ['import {\n  mkdir,\n  openSync as begin,\n} from "node:fs";', true],
  ['import fs from "node:fs";', true],
  ['import * as fs from "fs/promises";', true],
  ['const { readFileSync } = await import("node:fs");', true],
  ['import { promises } from "node:fs";', true],
  ['import { type FileHandle, mkdir } from "node:fs/promises";', false],
  ['import { readFileOf } from "./files.ts";', false],
])("%s: %j", (text, found) => {
  expect(reads(text)).toBe(found);
});
