import { expect, test } from "vitest";
import { renderAppFile } from "../../../../agent/cli/host-files/app-file.ts";
import { renderEvent } from "../../../../agent/cli/terminal/events.ts";
import { renderApps, renderReleases, renderStatus } from "../../../../agent/cli/terminal/status.ts";
import { type Style, safe, styleFor } from "../../../../agent/cli/terminal/terminal.ts";
import { renderTrust } from "../../../../agent/cli/terminal/trust.ts";
import { fakeAppView, fakeTimes } from "../../../fakes/app-view.ts";

const style: Style = (_, text) => text;
const options = { style, now: Date.parse(fakeTimes.later) };
const release = "20261121T103000Z-3f2c1ab";

test("status promises an immediate rollback only to a warm run that is up, and to which a rollback leads", () => {
  const view = fakeAppView();
  const run = "20261120T090000Z-9d8e7f6";
  const warm = { run, until: "2026-11-21T10:40:45.000Z" };
  const fatal = { name: "web-0", run, state: "FATAL", connections: 0, slots: 0 } as const;
  const shown = (more: object) => renderStatus({ ...view, warm, ...more }, options);
  expect(shown({})).toContain("is immediate");
  expect(shown({ previous: "20261119T090000Z-1111111" })).not.toContain("is immediate");
  expect(shown({ instances: [...view.instances, fatal] })).not.toContain("is immediate");
});

test("status of an app that serves, with a staged release and one that is warm", () => {
  const view = fakeAppView();
  const text = renderStatus(
    {
      ...view,
      staged: "20261121T110000Z-1234567",
      warm: { run: "20261120T090000Z-9d8e7f6", until: "2026-11-21T10:40:45.000Z" },
      held: "Undone three times; look at the log.",
      instances: [
        ...view.instances,
        { name: "web-0", run: "20261121T110000Z-1234567", state: "BACKOFF", connections: 0, slots: 0 },
        {
          name: "beat-0",
          run: release,
          process: "beat",
          state: "RUNNING",
          pid: 4003,
          uptime: 61_000,
          connections: 0,
          slots: 0,
        },
      ],
      deployment: {
        id: "3vV2yq0bS0qk8Jt5n1xWZA",
        app: "shop",
        kind: "deploy",
        release,
        state: "started",
        outcome: "running",
        by: { subject: "ci", repository: "acme/shop" },
        started: "2026-11-21T10:39:57.500Z",
        phases: [],
      },
    },
    options,
  );
  expect(text).toBe(`shop
  live      20261121T103000Z-3f2c1ab
  staged    20261121T110000Z-1234567, without traffic
  warm      20261120T090000Z-9d8e7f6, for another 45s: a rollback to it is immediate
  previous  20261120T090000Z-9d8e7f6
  serves    http://shop.example.com/
  held      Undone three times; look at the log.
  last      deploy running, instances started, 2.5s ago, by acme/shop (3vV2yq0bS0qk8Jt5n1xWZA)

  instance  run                       state       up  open  slots   pid
  web-0     20261121T103000Z-3f2c1ab  RUNNING  1m 1s     2     30  4001
  web-1     20261121T103000Z-3f2c1ab  RUNNING  1m 1s     0     30  4002
  web-0     20261121T110000Z-1234567  BACKOFF            0      0
  beat-0    20261121T103000Z-3f2c1ab  RUNNING  1m 1s               4003

  release                   state  made       live       commit   repository
  20261121T103000Z-3f2c1ab  live   10m ago    9m ago     3f2c1ab  acme/shop
  20261120T090000Z-9d8e7f6  good   1d 1h ago  1d 1h ago  9d8e7f6  acme/shop
`);
});

test("H4 live instances that do not run are named", () => {
  const view = fakeAppView();
  const instances = view.instances.map((one, index) => (index === 0 ? { ...one, state: "FATAL" } : one));
  expect(renderStatus({ ...view, instances }, options)).toContain(
    "  down      web-0 (FATAL); the agent starts them again for as long as it takes\n",
  );
});

test("while supervisord does not answer, why is said, and no instance counts as down", () => {
  const view = { ...fakeAppView(), problem: "supervisord is not running." };
  expect(renderStatus(view, options)).toContain("  problem   supervisord is not running.\n");
  const [, row] = renderApps([{ app: "shop", view }], options).split("\n");
  expect(row).toContain("unknown");
  expect(row).not.toMatch(/\d of \d/);
});

test("status of an app that nothing was deployed to", () => {
  const empty = { ...fakeAppView(), live: null, previous: null, urls: [], instances: [], releases: [] };
  expect(renderStatus(empty, options)).toBe("shop\n  live      nothing yet\n");
});

test("apps: one that serves, one that does not, one whose settings are broken", () => {
  const empty = { ...fakeAppView("blog"), live: null, instances: [] };
  const rows = [
    { app: "shop", view: fakeAppView() },
    { app: "blog", view: empty },
    { app: "wiki", problem: "wiki.yml:3:1: usr: unknown key\nmore" },
  ];
  expect(renderApps(rows, options)).toBe(`app   live                            running  last deployment
shop  20261121T103000Z-3f2c1ab        2 of 2
blog  nothing yet
wiki  wiki.yml:3:1: usr: unknown key
`);
  expect(renderApps([], options)).toBe(
    "This host has no apps yet. Add one with `cutover app add`; its help has an example.\n",
  );
});

test("releases say what they are and when they were live", () => {
  const [first] = fakeAppView().releases;
  const { live_at: _, ...never } = first!;
  expect(renderReleases({ live: null, releases: [{ ...never, state: "rolled_back" }] }, options)).toBe(
    "  release                   state        made     live   commit   repository\n" +
      "  20261121T103000Z-3f2c1ab  rolled back  10m ago  never  3f2c1ab  acme/shop",
  );
});

test("status folds the releases that failed, except the newest; `releases` lists all", () => {
  const view = fakeAppView();
  const failed = Array.from({ length: 4 }, (_, index) => ({
    ...view.releases[0]!,
    id: `2026112${index + 2}T090000Z-${"7".repeat(7)}`,
    state: "failed" as const,
    created: `2026-11-2${index + 2}T09:00:00.000Z`,
  }));
  const releases = [...failed, ...view.releases];
  const text = renderStatus({ ...view, releases }, options);
  expect(text.match(/ failed /g)).toHaveLength(1);
  expect(text).toContain("20261125T090000Z-7777777");
  expect(text.endsWith("  and 3 older releases that failed: `cutover releases shop` lists all\n")).toBe(true);
  expect(renderReleases({ ...view, releases }, options).match(/ failed /g)).toHaveLength(4);
  const [one, two] = failed;
  expect(renderStatus({ ...view, releases: [one!] }, options)).not.toContain("older");
  expect(renderStatus({ ...view, releases: [one!, two!] }, options)).toContain("and 1 older release that failed:");
});

test("what a host or a release says cannot move the cursor, colour the screen or write lines of its own", () => {
  const hostile = "\u001b[2J\u001b]0;owned\u0007a\u009b31mb\u202ec\rd\u0000e\tf";
  expect(safe(hostile)).toBe("abcde    f");
  const event = { id: 1, at: fakeTimes.later, type: "output", source: "pip\n", line: `${hostile}\nforged` } as const;
  expect(renderEvent(event, { style })).toBe("          pip  | abcde    f forged\n");
});

test("colours are for terminals, and not for those who refuse them", () => {
  expect(styleFor({ isTTY: true }, {})("red", "x")).toBe("\u001b[31mx\u001b[39m");
  expect(styleFor({ isTTY: true }, { NO_COLOR: "1" })("red", "x")).toBe("x");
  expect(styleFor({}, {})("red", "x")).toBe("x");
});

test("an app's file has a comment for each key", () => {
  const key = `ed25519:${"A".repeat(43)}`;
  expect(
    renderAppFile("shop", {
      user: "shop",
      trust: [{ key, comment: 'the "shop" workflow' }],
      domains: ["shop.example.com"],
      ports: ["9000-9049", "9100-9149"],
    }),
  ).toBe(`# What this host allows the app shop. The agent reads it at each call: an edit needs no restart.

# The user that runs the app's instances, processes, build steps and release command.
user: "shop"

# Who may deploy it: workflows of a repository (\`github\`), or the holder of a key from \`cutover keygen\` (\`key\`).
trust:
  - key: "${key}"
    comment: "the \\"shop\\" workflow"
    # allow: [deploy, activate, redeploy, rollback, abort, read]   # default: all of them

# The addresses on which its site may listen.
# listen: [80]

# The domains that it may serve. Without any it may be the default server of its addresses.
domains: ["shop.example.com"]

# The certificate for addresses with ssl: \`auto\`, or \`{ certificate: FILE, key: FILE }\`.
# tls: auto

# Ports of 127.0.0.1 for its instances, if its cutover.yml has \`bind: port\`.
ports: ["9000-9049", "9100-9149"]

# A file of NAME=value lines, such as passwords. They override the environment of cutover.yml. Default: shop.env
# env_file: shop.env
`);
});

test("whom an app trusts is shown with the ids that are accepted, and their source", () => {
  const issuer = "https://token.actions.githubusercontent.com";
  const ids = { repository_id: "1296269", owner_id: "583231" };
  const allow = ["deploy", "read"];
  const shown = renderTrust({
    app: "shop",
    trust: [
      { github: { repository: "acme/shop", issuer, ...ids, environment: "production", learnt: fakeTimes.made }, allow },
      {
        github: {
          ...{ repository: "acme/site", issuer, ...ids, any_ref: true, workflow: ".github/workflows/deploy.yml" },
          ...{ job_workflow: "acme/ci/.github/workflows/deploy.yml@refs/tags/v1", runner: "self-hosted" },
          ...{ ref_protected: true, events: ["push", "release"] },
        },
        allow,
        expires: "2027-06-30",
      },
      {
        github: { repository: "acme/blog", issuer, ref: "refs/heads/main", events: ["push"] },
        allow,
        comment: "staging\u001b[2J",
      },
      { key: `ed25519:${"A".repeat(43)}`, allow: ["read"] },
    ],
  });
  expect(shown).toBe(`github acme/shop
  ids: repository 1296269, owner 583231, learnt 2026-11-21T10:30:00.000Z: no others are accepted
  environment: production
  issuer: ${issuer}
  may: deploy, read

github acme/site
  ids: repository 1296269, owner 583231
  from every branch, tag and environment
  workflow: .github/workflows/deploy.yml
  job_workflow: acme/ci/.github/workflows/deploy.yml@refs/tags/v1
  runner: self-hosted
  only protected branches and tags
  events: push, release
  issuer: ${issuer}
  expires: after 2027-06-30
  may: deploy, read

github acme/blog (staging)
  ids: those of the first accepted call; until then only the name is checked
  ref: refs/heads/main
  events: push
  issuer: ${issuer}
  may: deploy, read

key ed25519:${"A".repeat(43)}
  may: read
`);
  expect(renderTrust({ app: "shop", trust: [] })).toContain("trust no repository and no key");
});
