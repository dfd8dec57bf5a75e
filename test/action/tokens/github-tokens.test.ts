import { decodeJwt } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Log } from "../../../action/runner/log.ts";
import { githubTokens } from "../../../action/tokens/github-tokens.ts";
import { TokenServer } from "../../fakes/token-server.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { refusal } from "../workspace.ts";

let server: TokenServer;
const masked: string[] = [];
const fast = { firstDelayMs: 1 };
const audience = { host: "web1.example.com:7070", app: "shop", operation: { name: "rollback" } } as const;

beforeEach(async () => {
  server = await TokenServer.start();
  masked.length = 0;
});
afterEach(() => server[Symbol.asyncDispose]());

function source(env: NodeJS.ProcessEnv = server.env) {
  return githubTokens({ env, mask: (secret) => void masked.push(secret), times: fast });
}

test("a token is for one call on one host, new each time, and masked", async () => {
  const tokens = source();
  const first = await tokens.token(audience);
  const second = await tokens.token({ ...audience, host: "web2.example.com:7070" });
  expect(server.given).toEqual([
    "cutover/v1/web1.example.com:7070/shop/rollback",
    "cutover/v1/web2.example.com:7070/shop/rollback",
  ]);
  expect([first, second].map((token) => decodeJwt(token).aud)).toEqual(server.given);
  expect(decodeJwt(first).jti).not.toBe(decodeJwt(second).jti);
  expect(masked).toEqual([first, second]);
});

test("the mask is a command of the runner, also while a host's output has stopped its commands", async () => {
  const console = new RecordedConsole();
  const log = new Log(console);
  log.untrusted("::error::from the host");
  const token = await githubTokens({ env: server.env, mask: (secret) => log.mask(secret) }).token(audience);
  // The recorded runner throws at a command while commands are stopped.
  expect(console.taken).toEqual([{ command: "mask", text: token }]);
});

test.each([503, 500, 429, "down"] as const)("an answer of %s is asked for again", async (state) => {
  server.passing = { state, times: 3 };
  expect(decodeJwt(await source().token(audience)).aud).toBe("cutover/v1/web1.example.com:7070/shop/rollback");
});

test("GitHub's server is not asked for ever", async () => {
  server.state = 503;
  const error = await refusal(() => source().token(audience));
  expect(error).toMatchObject({ code: "id_token_unavailable", message: expect.stringContaining("HTTP 503") });
});

test("a refusal is not asked again, and no bearer is in its message", async () => {
  const error = await refusal(() =>
    source({ ...server.env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "old-bearer" }).token(audience),
  );
  expect(error).toMatchObject({ code: "id_token_unavailable", message: expect.stringContaining("HTTP 401") });
  expect(`${error.message}${error.fix}`).not.toContain("old-bearer");
  expect(server.given).toEqual([]);
});

test.each(["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"])(
  "without %s the four lines are shown",
  async (name) => {
    const error = await refusal(() => source({ ...server.env, [name]: "", GITHUB_REPOSITORY: "acme/shop" }));
    expect(error.code).toBe("id_token_unavailable");
    expect(error.fix).toContain(
      "\n    environment: production\n    permissions:\n      contents: read\n      id-token: write\n",
    );
    expect(error.fix).toContain("cutover app add APP --github acme/shop --environment production");
    expect(error.message).not.toContain("fork");
  },
);

test("a pull request of a fork is told that it gets none", async () => {
  const error = await refusal(() => source({ GITHUB_EVENT_NAME: "pull_request" }));
  expect(error.message).toContain("from a fork, GitHub gives it no ID token");
});
