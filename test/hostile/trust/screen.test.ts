import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fakeAppView, fakeTimes } from "../../fakes/app-view.ts";
import { cutoverProgram, node, systemPath } from "../../harness/places.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";

/**
 * T4b: an agent that somebody else controls answers root's commands with all that moves the cursor, hides text, answers to
 * the terminal in root's name or turns the writing around.
 */
const evil =
  "a\u001b[2J\u001b[8m\u001b]52;c;ZWNobw==\u0007\u001bP+q544e\u001b\\\u009b31m\u009d0;x\u009c\u0007\b\r\u007f\u202e\u2066\u200f\u061c\ufeff\u2028\u00ad\u034f\u115f\u180e\u3164\ufe0f\ufff9\u206a\u{e0041}\u{e0100}b";
/** A part each, since some of them join others in a pattern. */
const unsafe = new RegExp(
  [
    ...[
      "[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]",
      "[\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]",
    ],
    ...["\\u00ad", "\\u034f", "\\u115f", "\\u180e", "\\u3164", "\\ufe0f", "\\ufff9", "[\\u{e0000}-\\u{e0fff}]"],
  ].join("|"),
  "u",
);

const failure = {
  code: `${evil}x`,
  detail: evil,
  unchanged: evil,
  fix: evil,
  evidence: [{ source: evil, text: evil }],
};
const id = "0123456789abcdefghjkmnpqrstvwxyz".slice(0, 26);

function hostileView() {
  const view = fakeAppView();
  const by = { subject: evil, repository: evil, run_url: evil };
  return {
    ...view,
    urls: [evil],
    held: evil,
    problem: evil,
    maintenance: { since: fakeTimes.made, allow: [evil] },
    instances: view.instances.map((one) => ({ ...one, name: evil, state: evil, process: evil })),
    releases: view.releases.map((one) => ({ ...one, commit: evil, repository: evil })),
    deployment: null,
    by,
  };
}

const entry = { at: fakeTimes.made, what: evil, app: evil, by: { subject: evil, repository: evil, run_url: evil } };
const entries = [
  { ...entry, event: "refused", reason: evil, code: evil },
  { ...entry, event: "ended", deployment: evil, release: evil, outcome: "failed", code: evil },
];
const trust = [{ key: evil, comment: evil, allow: [evil] }];
const problem = { type: evil, title: evil, status: 500, ...failure };

const answers: Record<string, unknown> = {
  "/v1/apps": { apps: ["shop"] },
  "/v1/apps/shop": hostileView(),
  "/v1/apps/shop/logs?lines=100": { logs: [{ source: evil, text: `${evil}\n${evil}` }] },
  "/v1/apps/shop/trust": { app: "shop", trust },
  "/v1/history?limit=200": { entries },
};

let scratch: Scratch;
let agent: Server;
const socket = () => join(scratch.path, "agent.sock");

beforeAll(async () => {
  scratch = new Scratch("screen");
  agent = createServer((request, response) => {
    const answer = request.method === "GET" ? answers[request.url ?? ""] : undefined;
    response.writeHead(answer === undefined ? 500 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? problem));
  });
  await new Promise<void>((resolve) => agent.listen(socket(), resolve));
});
afterAll(async () => {
  agent?.close();
  await scratch?.[Symbol.asyncDispose]();
});

const commands = [
  ["status"],
  ["status", "shop"],
  ["releases", "shop"],
  ["logs", "shop"],
  ["history"],
  ["app", "list"],
  ["app", "show", "shop"],
  ["rollback", "shop"],
  ["redeploy", "shop"],
  ["abort", id],
  ["repair", "shop"],
  ["maintenance", "on", "shop"],
  ["exec", "other", "--", "id"],
  ["logs", "shop", "--run", evil],
  [`no-${evil}`],
];

test.each(commands.flatMap((argv) => [argv, [...argv.slice(0, 1), "--json", ...argv.slice(1)]]).map((argv) => [argv]))(
  "T4b nothing of an agent reaches the terminal as it is: cutover %j",
  async (argv) => {
    const places = ["--socket", socket(), "--config", scratch.path];
    const words = [node, cutoverProgram, argv[0] ?? "", ...places, ...argv.slice(1)];
    const { stdout, stderr } = await runProgram(words, { env: { PATH: systemPath, NO_COLOR: "1" } });
    expect(stdout + stderr).not.toBe("");
    expect(stdout).not.toMatch(unsafe);
    expect(stderr).not.toMatch(unsafe);
  },
);

test("T4b a script gets every character of what an agent says, escaped", async () => {
  const words = [node, cutoverProgram, "logs", "shop", "--json", "--socket", socket(), "--config", scratch.path];
  const { stdout } = await runProgram(words, { env: { PATH: systemPath } });
  expect(JSON.parse(stdout)).toEqual([{ source: evil, text: `${evil}\n${evil}` }]);
});
