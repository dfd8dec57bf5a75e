import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

/** What each folder may import of ours, beside itself. agent/main.ts alone wires. */
const rules: [folder: string, may: string[]][] = [
  ["shared/", []],
  ["action/", ["shared/"]],
  [
    "agent/deploy/",
    [
      "shared/",
      "agent/contracts/ports.ts",
      "agent/contracts/privileged.ts",
      "agent/contracts/service.ts",
      "agent/settings.ts",
      "agent/logger.ts",
      "agent/host-policy.ts",
      "agent/permit-ports.ts",
    ],
  ],
  [
    "agent/host/",
    [
      "shared/",
      "agent/effects.ts",
      "agent/contracts/ports.ts",
      "agent/contracts/privileged.ts",
      "agent/contracts/token-stores.ts",
      "agent/contracts/service.ts",
      "agent/settings.ts",
      "agent/host-policy.ts",
      "agent/permit-ports.ts",
    ],
  ],
  [
    "agent/http/",
    [
      "shared/",
      "agent/contracts/ports.ts",
      "agent/contracts/token-stores.ts",
      "agent/contracts/service.ts",
      "agent/settings.ts",
      "agent/logger.ts",
    ],
  ],
  [
    "agent/observe/",
    ["shared/", "agent/contracts/ports.ts", "agent/contracts/service.ts", "agent/settings.ts", "agent/logger.ts"],
  ],
  // Of agent/host the command line has the one function with which a file is written durably.
  [
    "agent/cli/",
    [
      "shared/",
      "agent/settings.ts",
      "agent/contracts/service.ts",
      "agent/host/store/durable.ts",
      "agent/doctor/",
      "agent/install/",
      "package.json",
    ],
  ],
  // Looks at the host with the hands of agent/host, and decides nothing of a deploy.
  [
    "agent/doctor/",
    [
      "shared/",
      "agent/settings.ts",
      "agent/contracts/ports.ts",
      "agent/contracts/privileged.ts",
      "agent/contracts/token-stores.ts",
      "agent/host/",
    ],
  ],
  // What a host has beside the programs; the Debian package is made with it too.
  ["agent/install/", ["shared/", "agent/host/store/durable.ts", "agent/host/exec/run-tool.ts"]],
  // Makes the Debian package; nothing of it runs on a host.
  ["agent/packaging/", ["agent/install/", "agent/cli/program.ts", "package.json"]],
  // The second process: agent/host's hands behind a socket, and the agent's end of it.
  [
    "agent/helper/",
    [
      "shared/",
      "agent/contracts/ports.ts",
      "agent/contracts/privileged.ts",
      "agent/contracts/token-stores.ts",
      "agent/contracts/service.ts",
      "agent/settings.ts",
      "agent/logger.ts",
      "agent/host/",
      "package.json",
    ],
  ],
  ["agent/", ["shared/", "agent/", "package.json"]],
];

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => join(folder, file))
    .filter((file) => file.endsWith(".ts") && !file.includes("dist/"));
}

function imports(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:from|import)\s+"(\.[^"]+)"|import\("(\.[^"]+)"\)/g)].map(([, a, b]) =>
    normalize(join(dirname(file), a ?? b ?? "")),
  );
}

const files = [...sources("shared"), ...sources("action"), ...sources("agent")];

test.each(files)("%s imports only what its folder may", (file) => {
  const [folder, may] = rules.find(([prefix]) => file.startsWith(prefix)) ?? ["", []];
  const strangers = imports(file).filter((target) => ![folder, ...may].some((prefix) => target.startsWith(prefix)));
  expect(strangers).toEqual([]);
});

test("nothing imports in a circle", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, trail: string[]): void => {
    if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(" -> "));
    if (done.has(file) || trail.includes(file)) return;
    for (const target of valueImports(file)) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

/** Type imports are gone when the program runs, so two files may know each other's types. */
function valueImports(file: string): string[] {
  const text = readFileSync(file, "utf8").replaceAll(/import type [^;]*;/g, "");
  return [...text.matchAll(/from\s+"(\.[^"]+)"/g)].map(([, target]) => normalize(join(dirname(file), target ?? "")));
}
