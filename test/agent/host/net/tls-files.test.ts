import { copyFileSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readTlsPair, type TlsPair, tlsPaths, watchTlsFiles } from "../../../../agent/host/net/tls-files.ts";
import { makeCertificate } from "../../../harness/certificate.ts";
import { eventually, scratch } from "../scratch.ts";

async function watched() {
  const directory = scratch();
  const first = await makeCertificate(directory, "first");
  const second = await makeCertificate(directory, "second");
  const paths = { certificate: join(directory, "used.pem"), key: join(directory, "used.key") };
  copyFileSync(first.certificateFile, paths.certificate);
  copyFileSync(first.keyFile, paths.key);
  const renewals: TlsPair[] = [];
  const faults: string[] = [];
  const watch = watchTlsFiles(await readTlsPair(paths), {
    paths,
    renewed: (pair) => renewals.push(pair),
    broken: ({ message }) => faults.push(message),
    everyMs: 10,
  });
  onTestFinished(() => watch[Symbol.dispose]());
  return { directory, first, second, paths, renewals, faults };
}

test("a pair that is written anew is told once", async () => {
  const { second, paths, renewals, faults } = await watched();
  copyFileSync(second.keyFile, paths.key);
  copyFileSync(second.certificateFile, paths.certificate);
  await eventually(async () => renewals.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(renewals).toEqual([{ certificate: second.certificate, key: second.key }]);
  expect(new Set(faults).size).toBeLessThanOrEqual(1);
});

test("a pair behind symlinks that an ACME client moves is told", async () => {
  const { directory, second, paths, renewals } = await watched();
  for (const [to, path] of [
    [second.keyFile, paths.key] as const,
    [second.certificateFile, paths.certificate] as const,
  ]) {
    symlinkSync(to, join(directory, "next"));
    renameSync(join(directory, "next"), path);
  }
  await eventually(async () => renewals.at(-1)?.certificate === second.certificate);
});

test.each([
  ["half of a certificate", (text: string) => text.slice(0, text.length / 2), /do not work together/],
  ["no certificate at all", () => "", /do not work together/],
  ["a certificate without its key", (_: string, other: string) => other, /do not work together/],
])("%s is told once and not used; the pair of before may come back", async (_, broken, reason) => {
  const { first, second, paths, renewals, faults } = await watched();
  writeFileSync(paths.certificate, broken(first.certificate, second.certificate));
  await eventually(async () => faults.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(faults).toEqual([expect.stringMatching(reason)]);
  expect(renewals).toEqual([]);
  writeFileSync(paths.certificate, first.certificate);
  await eventually(async () => renewals.length > 0);
  expect(renewals).toEqual([{ certificate: first.certificate, key: first.key }]);
});

test("names without a slash are credentials of the unit", async () => {
  const directory = scratch();
  const { certificate } = await makeCertificate(directory, "web");
  const paths = tlsPaths({ certificate: "web.pem", key: "/etc/ssl/web.key" }, directory);
  expect(paths).toEqual({ certificate: join(directory, "web.pem"), key: "/etc/ssl/web.key" });
  expect(readFileSync(paths.certificate, "utf8")).toBe(certificate);
  expect(tlsPaths({ certificate: "a", key: "b" }).key).toBe("/run/credentials/cutover-agent.service/b");
});

test("a file that is not there is named, with what to do", async () => {
  await expect(readTlsPair({ certificate: "/nowhere/web.pem", key: "/nowhere/web.key" })).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining("/nowhere/web."),
    fix: expect.stringContaining("LoadCredential="),
  });
});
