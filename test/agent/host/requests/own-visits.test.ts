import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SocketProbe } from "../../../../agent/host/net/health.ts";
import { OwnVisits } from "../../../../agent/host/requests/own-visits.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import { ask, backend, saying, seen, uwsgiBackend } from "../nginx/site-host.ts";
import { freePort, scratch } from "../scratch.ts";
import { countingHost, v1 } from "./counting-host.ts";

/** A host, its agent's own visits, and those of others, of whom each says that he is the agent. */
async function visitedHost() {
  const counted = await countingHost();
  const { host } = counted;
  const { visits, periods } = requestPlaces(host.settings.data);
  const probe = new SocketProbe("0", host.settings, new OwnVisits(visits));
  return {
    ...counted,
    visits,
    periods,
    visit: (path = "/") => probe.visit({ address: host.port, host: "localhost", path, timeoutMs: 5000 }),
    claim: (word: string, path = "/") => ask(host.port, path, { headers: { "x-cutover-visit": word } }),
  };
}

const failing: typeof saying = (name) => (request, response) => {
  if (request.url === "/fails") response.statusCode = 500;
  saying(name)(request, response);
};

test("the agent's own visits count nowhere, whatever they find, and visitors' do", async () => {
  const { host, route, counts, requests, visit } = await visitedHost();
  await route([{ run: v1, instances: [await backend(failing("v1"))], slots: 60 }]);
  for (const path of ["/", "/fails", "/"]) expect(await visit(path)).toMatchObject({ kind: "status" });
  host.file("maintenance/on", "");
  expect(await visit()).toMatchObject({ status: 503 });
  expect(await counts()).toEqual({});
  expect(requests.totals("shop")).toEqual({});
  expect((await ask(host.port, "/fails")).status).toBe(503);
  expect(await counts()).toEqual({ none: [1, 1] });
});

test("nor do they in the uwsgi protocol, and no instance learns how nginx knows them", async () => {
  const { route, counts, visit, claim } = await visitedHost();
  await route([{ run: v1, instances: [await backend(saying("v1"))], slots: 60 }]);
  const own = await visit();
  expect(own).toMatchObject({ status: 200 });
  for (const word of ["0".repeat(32), "x"]) expect(seen(await claim(word))).not.toHaveProperty("x-cutover-visit");
  const uwsgi = { server: { kind: "uwsgi", app: "shop:app", protocol: "uwsgi" } };
  await route([{ run: v1, instances: [await uwsgiBackend()], slots: 60 }], uwsgi);
  const answer = await visit();
  expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('"HTTP_HOST":"localhost') });
  expect(answer).not.toMatchObject({ body: expect.stringContaining("CUTOVER_VISIT") });
  expect(await counts()).toEqual({ [v1]: [2, 0] });
});

test("a visitor who says that he is the agent counts: no word is one, and each is one for as long as the visit", async () => {
  const { host, route, counts, visits, periods, claim } = await visitedHost();
  const { address } = await backend(failing("v1"));
  await route([{ run: v1, instances: [{ name: "web-0", address, protocol: "http" }], slots: 60 }]);
  const [period = ""] = readdirSync(periods);
  const own = new OwnVisits(visits);
  const word = await own.during(async (given) => {
    expect(readdirSync(visits)).toEqual([given]);
    expect((await claim(given)).status).toBe(200);
    return given;
  });
  expect(await counts()).toEqual({});
  // A file that is there, but not of the agent's making.
  writeFileSync(join(visits, "note"), "");
  const claims = [
    ...[word, word.toUpperCase(), "0".repeat(32), "note", ".", "..", `../periods/${period}`, "", " ", "*", `${word}/`],
    ...[`${word}\t`, `x, ${word}`, "%2e%2e", `..%2fperiods%2f${period}`, "a".repeat(3000)],
  ];
  for (const claimed of claims) expect((await claim(claimed, "/fails")).status).toBe(500);
  expect(await counts()).toEqual({ [v1]: [claims.length, claims.length] });
  expect((await ask(host.port)).status).toBe(200);
});

test("nobody but the agent can list the words, and what a killed agent left is none any more", async () => {
  const directory = join(scratch(), "visits");
  const old = "0123456789abcdef".repeat(2);
  mkdirSync(directory);
  writeFileSync(join(directory, old), "");
  const own = new OwnVisits(directory);
  const words = await Promise.all([1, 2, 3].map(() => own.during(async (word) => word)));
  expect([...new Set(words)].map((word) => /^[0-9a-f]{32}$/.test(word))).toEqual([true, true, true]);
  expect(readdirSync(directory)).toEqual([]);
  expect((statSync(directory).mode & 0o777).toString(8)).toBe("711");
});

test("a visit that fails leaves nothing, and one without its file is made all the same", async () => {
  const directory = join(scratch(), "visits");
  const own = new OwnVisits(directory);
  await expect(own.during(() => Promise.reject(new Error("no answer")))).rejects.toThrow("no answer");
  expect(readdirSync(directory)).toEqual([]);
  const file = join(scratch(), "file");
  writeFileSync(file, "");
  expect(await new OwnVisits(join(file, "visits")).during(async () => "made")).toBe("made");
});

test("a visit to a host with peers is answered by this host, whose release it is to see", async () => {
  const { host, route, counts, visit } = await visitedHost();
  const peer = await freePort();
  const { server } = await backend(saying("peer"));
  await new Promise<void>((resolve) => void server.close(() => server.listen(peer, "127.0.0.1", resolve)));
  const address = `127.0.0.1:${peer}`;
  host.allow({ pass_to: [{ server: address, weight: 100 }], weight: 1 });
  await route([{ run: v1, instances: [await backend(saying("v1"))], slots: 60 }]);
  for (let n = 0; n < 10; n++) expect(await visit()).toMatchObject({ body: "v1" });
  const answers = [];
  for (let n = 0; n < 10; n++) answers.push((await ask(host.port)).text);
  expect(answers).toContain("peer");
  expect(await counts()).not.toEqual({});
});
