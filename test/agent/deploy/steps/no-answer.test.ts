import { expect, test } from "vitest";
import { noAnswer, type Unanswered } from "../../../../agent/deploy/steps/no-answer.ts";
import { configOf } from "../../../action/workspace.ts";

const { server } = configOf();
const command = configOf({ server: { kind: "command", command: "./serve --port {port}", bind: "port" } }).server;
const base: Omit<Unanswered, "answer"> = {
  instance: "web-0",
  path: "/",
  timeout: "6s",
  server,
  cause: undefined,
  strays: [],
};
const answer = (how: "absent" | "waiting" | "silent" | "closed" | "denied" | "garbled") =>
  ({ kind: "unreachable", reason: "why", how }) as const;

test.each<[string, Partial<Unanswered> & Pick<Unanswered, "answer">, RegExp, RegExp]>([
  [
    "runs another server while it is imported",
    { answer: answer("waiting"), strays: ["127.0.0.1:5057"] },
    /^web-0 listens on 127\.0\.0\.1:5057 instead of its socket, so it did not answer GET \/ within 6s\.$/,
    /take the call that runs a server .* out of the module/,
  ],
  [
    "ignores its port",
    { answer: answer("absent"), strays: ["0.0.0.0:8020"], server: command },
    /^web-0 listens on 0\.0\.0\.0:8020 instead of its port/,
    /pass on `\{port\}` of `server\.command`/,
  ],
  [
    "closes its socket to others",
    { answer: answer("denied"), strays: ["127.0.0.1:9100"] },
    /does not let the agent in: most often the app has changed the socket's mode/,
    /mode=0o666/,
  ],
  [
    "speaks something else",
    { answer: answer("garbled"), strays: ["127.0.0.1:9100"] },
    /answers GET \/, but not in HTTP/,
    /without TLS/,
  ],
  [
    "is slow to start",
    { answer: answer("waiting") },
    /^web-0 is still starting after 6s: its socket is there, and nothing has accepted/,
    /the import of the app waits for.*raise `health\.timeout`/,
  ],
  [
    "accepts and says nothing",
    { answer: answer("silent"), strays: ["127.0.0.1:9100"] },
    /^web-0 accepted the connection and did not answer/,
    /its first request waits for/,
  ],
  ["listens nowhere", { answer: answer("absent") }, /listens neither on its socket nor on any port/, /`processes`/],
  [
    "ends at each request",
    { answer: answer("closed"), strays: ["127.0.0.1:9100"] },
    /closes the connection without/,
    /ends at each/,
  ],
  [
    "is an aiohttp whose handler returns nothing",
    { answer: answer("closed"), server: { ...command, kind: "aiohttp" } },
    /closes the connection without/,
    /`return web\.Response/,
  ],
  [
    "says itself why",
    { answer: answer("silent"), cause: { line: "KeyError: 'X'", fix: "Set X." } },
    /within 6s\. KeyError: 'X'\.$/,
    /^Set X\.$/,
  ],
])("an instance that %s", (_title, parts, message, fix) => {
  const words = noAnswer({ ...base, ...parts });
  expect(words.message).toMatch(message);
  expect(words.fix).toMatch(fix);
});
