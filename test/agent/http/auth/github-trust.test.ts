import { expect, test } from "vitest";
import { agentSettingsSchema, appSettingsSchema } from "../../../../agent/settings.ts";

const repository = "acme/shop";
const environment = "production";

const wrongTrust: [string, object][] = [
  ["without environment, ref or any_ref", { repository }],
  ["with any_ref and an environment", { repository, environment, any_ref: true }],
  ["with a pattern for a ref", { repository, ref: "refs/heads/*" }],
  ["with a short ref", { repository, ref: "main" }],
  ["with an id that is a number", { repository, environment, repository_id: 1296269 }],
  ["with a repository that has no owner", { repository: "shop", environment }],
  ["with an empty environment", { repository, environment: "" }],
  ["with an issuer over plain http", { repository, environment, issuer: "http://issuer.example.com" }],
];

test.each(wrongTrust)("a trust %s is refused", (_name, github) => {
  expect(appSettingsSchema.safeParse({ trust: [{ github }] }).success).toBe(false);
});

test.each([
  "http://issuer.example.com",
  "https://issuer.example.com/",
  "https://user@issuer.example.com",
  "https://issuer.example.com/?x",
  "ftp://issuer.example.com",
  "issuer.example.com",
])("%s is no issuer", (issuer) => {
  expect(agentSettingsSchema.safeParse({ github: [{ issuer, server: "https://github.com" }] }).success).toBe(false);
});

test("a trust is of a key or of a repository, not of both or none", () => {
  const key = `ed25519:${"A".repeat(43)}`;
  for (const trust of [{}, { key, github: { repository, environment } }]) {
    expect(appSettingsSchema.safeParse({ trust: [trust] }).success).toBe(false);
  }
});

test("GitHub's own issuer counts unless agent.yml says otherwise", () => {
  expect(agentSettingsSchema.parse({}).github).toEqual([
    { issuer: "https://token.actions.githubusercontent.com", server: "https://github.com", keys_age: "3d" },
  ]);
  expect(agentSettingsSchema.parse({ github: [] }).github).toEqual([]);
});
