import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AuditFiles, type AuditFilesOptions } from "../../../../agent/host/store/audit-files.ts";
import type { AuditEntry } from "../../../../shared/protocol.ts";
import { scratch } from "../scratch.ts";

const by = { subject: "ci", repository: "acme/shop", run_url: "https://github.com/acme/shop/actions/runs/1" };
const all = { limit: 10_000 };

function entry(deployment: string, parts: Partial<AuditEntry> = {}): Omit<AuditEntry, "at"> {
  return { event: "ended", what: "deploy", app: "shop", by, deployment, outcome: "succeeded", ...parts };
}

function opened(data = scratch(), options: AuditFilesOptions = {}): { data: string; file: string; log: AuditFiles } {
  return { data, file: join(data, "audit", "audit.ndjson"), log: new AuditFiles(data, options) };
}

test("a line is on disk when it is recorded, for the group alone", async () => {
  const { file, log } = opened(undefined, { now: () => Date.parse("2026-11-21T10:00:00Z") });
  await log.record(entry("d1"));
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ at: "2026-11-21T10:00:00.000Z", ...entry("d1") });
  expect(statSync(file).mode & 0o777).toBe(0o640);
  await log.close();
});

test("an audit log that a kill has torn is read without the torn line, and goes on after it", async () => {
  const { data, file, log } = opened();
  await log.record(entry("d1"));
  await log.close();
  appendFileSync(file, '{"at":"2026-11-21T10:00:00.000Z","event":"en');
  const { log: next } = opened(data);
  expect((await next.read(all)).map(({ deployment }) => deployment)).toEqual(["d1"]);
  await next.record(entry("d2"));
  expect((await next.read(all)).map(({ deployment }) => deployment)).toEqual(["d1", "d2"]);
  await next.close();
});

test("the audit log is bounded: by size, with a number of files", async () => {
  const { data, log } = opened(undefined, { bytes: 1000, files: 3 });
  for (let number = 0; number < 40; number++) await log.record(entry(`d${number}`));
  const files = readdirSync(join(data, "audit")).sort();
  expect(files).toEqual(["audit.ndjson", "audit.ndjson.1", "audit.ndjson.2"]);
  for (const file of files) expect(statSync(join(data, "audit", file)).size).toBeLessThanOrEqual(1000);
  const kept = (await log.read(all)).map(({ deployment }) => deployment);
  expect(kept.at(-1)).toBe("d39");
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => `d${40 - kept.length + index}`));
  await log.close();
});

test("callers without a token cannot push out who deployed", async () => {
  const { log } = opened(undefined, { bytes: 1000, files: 2 });
  await log.record(entry("d1"));
  const refused = { event: "refused", what: "deploy", app: "shop", code: "unauthorized", reason: "expired" } as const;
  await Promise.all(Array.from({ length: 200 }, () => log.record(refused)));
  const entries = await log.read(all);
  expect(entries.filter(({ event }) => event === "ended")).toMatchObject([{ deployment: "d1" }]);
  expect(entries.filter(({ event }) => event === "refused").length).toBeGreaterThan(0);
  await log.close();
});

test("lines that come at the same time are all kept, in their order", async () => {
  const { log } = opened();
  await Promise.all(Array.from({ length: 300 }, (_, number) => log.record(entry(`d${number}`))));
  expect((await log.read(all)).map(({ deployment }) => deployment)).toEqual(
    Array.from({ length: 300 }, (_, number) => `d${number}`),
  );
  await log.close();
});

test("it is asked by app, by time and for the last so many", async () => {
  let now = Date.parse("2026-11-21T10:00:00Z");
  const { log } = opened(undefined, { now: () => now });
  for (const app of ["shop", "blog", "shop", "shop"]) {
    await log.record(entry(`at ${now}`, { app }));
    now += 60_000;
  }
  const minutes = async (query: Parameters<AuditFiles["read"]>[0]) =>
    (await log.read(query)).map(({ at }) => at.slice(14, 16));
  expect(await minutes({ app: "shop", ...all })).toEqual(["00", "02", "03"]);
  expect(await minutes({ since: Date.parse("2026-11-21T10:01:00Z"), ...all })).toEqual(["01", "02", "03"]);
  expect(await minutes({ app: "shop", limit: 1 })).toEqual(["03"]);
  await log.close();
});

test("a log that cannot be written says so, and keeps nobody from what he does", async () => {
  const data = scratch();
  const errors: unknown[] = [];
  mkdirSync(join(data, "audit", "audit.ndjson"), { recursive: true });
  const { log } = opened(data, { onError: (error) => errors.push(error) });
  await log.record(entry("d1"));
  expect(errors).toMatchObject([{ code: "EISDIR" }]);
  await log.close();
});

test("lines of a newer version are passed over", async () => {
  const { data, file, log } = opened();
  mkdirSync(join(data, "audit"));
  writeFileSync(file, `${JSON.stringify({ at: "2026-11-21T10:00:00Z", event: "dreamt", what: "x", app: "shop" })}\n`);
  await log.record(entry("d1"));
  expect((await log.read(all)).map(({ event }) => event)).toEqual(["ended"]);
  await log.close();
});
