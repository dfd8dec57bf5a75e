import { afterEach, beforeEach, expect, test } from "vitest";
import type { AuditEntry } from "../../../../shared/protocol.ts";
import { TestHost } from "../support.ts";

let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
  await host.startAgent();
});
afterEach(() => host.close());

const who = { subject: "ci", repository: "acme/shop", run_url: "https://github.com/acme/shop/actions/runs/1" };
const by = { ...who, trust: "github acme/shop, environment production" };
/** A key's holder may name any repository. */
const keyed = { ...who, trust: "key ed25519:AbCdEfGhIj..." };
const operator = { subject: "local operator" };

function record(...entries: Omit<AuditEntry, "at">[]): void {
  for (const [index, entry] of entries.entries()) {
    host.audit.entries.push({ at: `2026-11-21T10:0${index}:00.000Z`, ...entry });
  }
}

test("history shows who did what, when and with which result", async () => {
  const app = "shop";
  const release = "20261121T103000Z-3f2c1ab";
  const ended = { event: "ended", app, by } as const;
  record(
    { event: "begun", what: "deploy", app, by, deployment: "d1" },
    { ...ended, what: "deploy", deployment: "d1", release, outcome: "succeeded", took: 4500 },
    {
      ...ended,
      by: keyed,
      what: "activate",
      deployment: "d2",
      release,
      weight: 25,
      outcome: "failed",
      code: "canary_impossible",
    },
    { event: "done", what: "maintenance_on", app, by: operator },
    { event: "refused", what: "deploy", app, code: "unauthorized", reason: "expired" },
    { event: "begun", what: "rollback", app, by: operator, deployment: "d3" },
  );
  const { exit, out, err } = await host.run(["history", "shop"]);
  expect({ exit, err }).toEqual({ exit: 0, err: "" });
  expect(out).toBe(
    `time (UTC)           app   what            release                   result                      who                    trusted as                                run
2026-11-21 10:01:00  shop  deploy          20261121T103000Z-3f2c1ab  succeeded 4.5s              acme/shop              github acme/shop, environment production  https://github.com/acme/shop/actions/runs/1
2026-11-21 10:02:00  shop  activate 25 %   20261121T103000Z-3f2c1ab  failed [canary_impossible]  acme/shop              key ed25519:AbCdEfGhIj...                 https://github.com/acme/shop/actions/runs/1
2026-11-21 10:03:00  shop  maintenance on                            done                        local operator
2026-11-21 10:04:00  shop  deploy                                    refused [unauthorized]      nobody known: expired
2026-11-21 10:05:00  shop  rollback                                  begun                       local operator
`,
  );
  expect(host.audit.queries).toEqual([{ app: "shop", limit: 200 }]);
});

test("history says which rule refused a genuine token", async () => {
  record({ event: "refused", what: "read", app: "shop", code: "forbidden", reason: "grant_missing" });
  const { out } = await host.run(["history", "shop"]);
  expect(out).toContain("refused [forbidden]  trusted, but `allow` of the trust entry lacks this call");
});

test.each([
  ["sudo's user", { SUDO_USER: "anna", LOGNAME: "root", USER: "root" }, "anna (local operator)"],
  ["the one who logged in", { LOGNAME: "ben" }, "ben (local operator)"],
  ["nobody whose name could be text of its own", { SUDO_USER: "anna\u001b[2J\nroot" }, "local operator"],
])("a command on the host is recorded as %s", async (_, env, who) => {
  await host.run(["rollback", "shop", "--no-follow"], { env });
  await host.run(["maintenance", "on", "shop"], { env });
  const { out } = await host.run(["history", "shop"]);
  const name = who.split(" (")[0];
  const by = { ...operator, ...(who !== operator.subject && { user: name }) };
  expect(host.service.calls.find(({ method }) => method === "rollback")?.by).toEqual(by);
  expect(out.trimEnd().endsWith(`  ${who}`)).toBe(true);
});

test("history takes a time, a number of lines and --json", async () => {
  record({ event: "done", what: "maintenance_off", app: "shop", by: operator });
  const { out } = await host.run(["history", "--since", "10m", "-n", "5", "--json"]);
  expect(JSON.parse(out)).toEqual(host.audit.entries);
  await host.run(["history", "--since", "2026-11-21"]);
  expect(host.audit.queries).toEqual([
    { since: Date.parse("2026-11-21T10:30:00.000Z"), limit: 5 },
    { since: Date.parse("2026-11-21T00:00:00.000Z"), limit: 200 },
  ]);
});

test("history of nothing says so", async () => {
  expect((await host.run(["history"])).out).toBe("The audit log has no entries.\n");
});

test.each([
  ["--since", "yesterday"],
  ["--since", "7"],
  ["-n", "0"],
  ["-n", "99999"],
])("history %s %s is a wrong command line", async (...args) => {
  expect((await host.run(["history", ...args])).exit).toBe(2);
});

test("what a token's holder called himself moves no terminal", async () => {
  record({ event: "done", what: "abort", app: "shop", by: { subject: "\u001b[2Jevil\nname" } });
  expect((await host.run(["history"])).out).toContain("  evil name\n");
});
