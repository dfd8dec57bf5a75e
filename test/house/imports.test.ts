import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it, test } from "vitest";

/**
 * What each folder, and each file at the top of `agent/`, may import of ours besides its own folder. The first rule that
 * fits a file counts. A file without a rule may import nothing of ours: a new one needs a line here.
 */
const settings = ["agent/settings.ts", "agent/settings-trust.ts", "agent/settings-values.ts"];
const contracts = ["shared/", "agent/contracts/", ...settings];
const rules: [place: string, may: string[]][] = [
  ["shared/", []],
  ["action/", ["shared/"]],

  // What the folders of the agent meet in. It knows none of them.
  ["agent/contracts/", ["shared/", ...settings]],
  ["agent/settings.ts", ["shared/", "agent/settings-trust.ts", "agent/settings-values.ts"]],
  ["agent/settings-trust.ts", ["shared/", "agent/settings-values.ts"]],
  ["agent/settings-values.ts", ["shared/"]],
  ["agent/host-policy.ts", ["shared/", ...settings]],
  ["agent/effects.ts", ["shared/"]],
  // Loaded by main.ts alone, and only for tests.
  ["agent/faults.ts", ["agent/effects.ts"]],
  ["agent/logger.ts", contracts],
  ["agent/systemd-notify.ts", []],
  // A program of its own: what supervisor starts, as the app's user.
  ["agent/launch.ts", ["shared/", "agent/host/"]],

  // Only calculates. What it is told of requests, and what follows from its verdict, is the deploy's.
  ["agent/judge/", ["shared/", "agent/contracts/"]],
  ["agent/deploy/", [...contracts, "agent/host-policy.ts", "agent/logger.ts", "agent/judge/"]],
  ["agent/host/", [...contracts, "agent/host-policy.ts", "agent/effects.ts"]],
  ["agent/http/", [...contracts, "agent/logger.ts"]],
  ["agent/observe/", [...contracts, "agent/logger.ts"]],
  ["agent/certificates/", [...contracts, "agent/host-policy.ts", "agent/logger.ts"]],
  // Of agent/host the command line has what writes a file durably, and what `exec` and `app add` must not ask the agent for.
  [
    "agent/cli/",
    [
      ...contracts,
      ...["agent/host/store/durable.ts", "agent/host/exec/live-command.ts", "agent/host/exec/own-session.ts"],
      ...["agent/host/exec/run-tool.ts", "agent/host/ownership/"],
      ...["agent/doctor/", "agent/install/", "agent/ui/", "package.json"],
    ],
  ],
  // The page of `cutover ui`: like the other commands it knows of the agent only what the admin socket says.
  ["agent/ui/", ["shared/", "agent/cli/client.ts", "agent/cli/terminal/", "agent/doctor/finding.ts"]],
  // Looks at the host with the hands of agent/host, and decides nothing of a deploy.
  ["agent/doctor/", [...contracts, "agent/host/", "agent/host-policy.ts"]],
  // What a host has besides the programs; the Debian package is made with it too.
  ["agent/install/", ["shared/", "agent/host/store/durable.ts", "agent/host/exec/run-tool.ts"]],
  // Makes the Debian package and the generated docs; nothing of it runs on a host.
  ["agent/packaging/", ["shared/", "agent/install/", "agent/cli/program.ts", "agent/settings.ts", "package.json"]],
  // The second process: agent/host's hands behind a socket, and the agent's end of it. Its main.ts joins them.
  ["agent/helper/", [...contracts, "agent/logger.ts", "agent/host/", "package.json"]],
  // Joins them all, with the agent's main.ts.
  [
    "agent/wire/",
    [
      ...contracts,
      ...["agent/logger.ts", "agent/certificates/", "agent/deploy/", "agent/helper/", "agent/host/", "agent/http/"],
      "agent/observe/",
      // The page for everybody.
      "agent/ui/public/index.ts",
    ],
  ],
  ["agent/main.ts", ["shared/", "agent/", "package.json"]],
];

/** Only these may know two sides that must not know each other. */
const joining = ["agent/main.ts", "agent/wire/", "agent/helper/", "agent/doctor/"];
const sides = ["agent/deploy/", "agent/host/", "agent/http/"];

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => join(folder, file))
    .filter((file) => file.endsWith(".ts") && !file.includes("dist/"));
}

/** Also type imports: a type is knowledge of the other side too. */
function imports(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:from|import)\s+"(\.[^"]+)"|import\("(\.[^"]+)"\)/g)].map(([, a, b]) =>
    normalize(join(dirname(file), a ?? b ?? "")),
  );
}

const files = [...sources("shared"), ...sources("action"), ...sources("agent")];

function strangers(file: string, targets: string[]): string[] {
  const [place, may] = rules.find(([place]) => file.startsWith(place)) ?? ["(no rule)", []];
  const own = place.endsWith("/") ? [place] : [];
  return targets.filter((target) => ![...own, ...may].some((allowed) => target.startsWith(allowed)));
}

test.each(files)("%s imports only what its place may", (file) => {
  expect(
    rules.some(([place]) => file.startsWith(place)),
    "has a rule",
  ).toBe(true);
  expect(strangers(file, imports(file))).toEqual([]);
});

test("no rule is without a file", () => {
  expect(rules.map(([place]) => place).filter((place) => !files.some((file) => file.startsWith(place)))).toEqual([]);
});

describe("the rules refuse", () => {
  it.each([
    ["agent/host-policy.ts", "agent/host/nginx/nginx.ts"],
    ["agent/contracts/ports.ts", "agent/host/privileged.ts"],
    ["agent/settings.ts", "agent/deploy/state.ts"],
    ["agent/deploy/deploy.ts", "agent/host/privileged.ts"],
    ["agent/deploy/deploy.ts", "agent/effects.ts"],
    ["agent/host/privileged.ts", "agent/faults.ts"],
    ["agent/host/privileged.ts", "agent/deploy/state.ts"],
    ["agent/http/app.ts", "agent/deploy/deployments.ts"],
    ["agent/wire/host.ts", "agent/cli/program.ts"],
    ["agent/new.ts", "agent/settings.ts"],
    ["shared/errors.ts", "agent/settings.ts"],
    ["action/run.ts", "agent/settings.ts"],
  ])("%s importing %s", (file, target) => {
    expect(strangers(file, [target])).toEqual([target]);
  });
});

test("no path of imports leads from one side to another but through what joins them", () => {
  const reached = (from: string): string[] => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file) || joining.some((place) => file.startsWith(place))) return;
      seen.add(file);
      for (const target of imports(file)) if (files.includes(target)) visit(target);
    };
    for (const file of files) if (file.startsWith(from)) visit(file);
    return sides.filter((side) => side !== from && [...seen].some((file) => file.startsWith(side)));
  };
  expect(sides.map(reached)).toEqual([[], [], []]);
});

test("nothing imports in a circle, not even types", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, trail: string[]): void => {
    if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(" -> "));
    if (done.has(file) || trail.includes(file)) return;
    for (const target of imports(file)) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});
