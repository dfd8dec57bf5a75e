import { createWriteStream } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip, createZstdCompress } from "node:zlib";
import { decodeJwt } from "jose";
import { Header } from "tar";
import { afterEach, beforeEach, expect, test } from "vitest";
import { importPrivateKey } from "../../../../shared/key.ts";
import { manifestDigest } from "../../../../shared/manifest.ts";
import { fakeTimes } from "../../../fakes/app-view.ts";
import { TestHost } from "../support.ts";

let host: TestHost;
let keyFile: string;

beforeEach(async () => {
  host = await TestHost.make();
  keyFile = host.path("shop.key");
});
afterEach(() => host.close());

const tokenFor = (...operation: string[]) =>
  host.run(["token", "--key", keyFile, "--host", "web1.example.com:7070", "--app", "shop", ...operation]);

test("keygen writes a private key that only its owner can read, prints the public one, and overwrites nothing", async () => {
  const { exit, out } = await host.run(["keygen", keyFile]);
  expect(exit).toBe(0);
  const pem = await readFile(keyFile, "utf8");
  const { publicLine } = await importPrivateKey(pem);
  expect(out.split("\n")[0]).toBe(publicLine);
  expect(out).not.toContain("PRIVATE");
  expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
  const again = await host.run(["keygen", keyFile]);
  expect([again.exit, again.err.split("\n")[0]]).toEqual([
    1,
    `error [request_invalid] The key cannot be written to ${keyFile}: the file exists already.`,
  ]);
  expect(await readFile(keyFile, "utf8")).toBe(pem);
});

test("token prints a token for exactly one call", async () => {
  await host.run(["keygen", keyFile]);
  const { out } = await tokenFor("activate", "20261121T103000Z-3f2c1ab");
  expect(out).toMatch(/^eyJ\S+\n$/);
  const now = Date.parse(fakeTimes.later) / 1000;
  expect(decodeJwt(out.trim())).toMatchObject({
    iss: "cutover",
    aud: "cutover/v1/web1.example.com:7070/shop/activate/20261121T103000Z-3f2c1ab",
    iat: now,
    exp: now + 300,
  });
  expect((await tokenFor("rollback", "--header")).out).toMatch(/^Authorization: Bearer eyJ\S+\n$/);
  expect(decodeJwt((await tokenFor("redeploy")).out.trim()).aud).toMatch(/redeploy\/live$/);
});

test.each([[["deploy"]], [["activate"]], [["activate", "latest"]], [["rollback", "x"]], [["abort", "7"]]])(
  "an operation that no call has: %j",
  async (operation) => {
    await host.run(["keygen", keyFile]);
    expect(await tokenFor(...operation)).toMatchObject({ exit: 2, out: "" });
  },
);

test("a key can come from standard input, and one that is none is refused without being shown", async () => {
  await host.run(["keygen", keyFile]);
  const argv = ["token", "--key", "-", "--host", "h:1", "--app", "shop", "read"];
  expect((await host.run(argv, { input: await readFile(keyFile, "utf8") })).exit).toBe(0);
  const { exit, err } = await host.run(argv, { input: "hunter2-secret" });
  expect(exit).toBe(1);
  expect(err).toContain("[signing_key_invalid]");
  expect(err).not.toContain("hunter2");
});

function entry(path: string, body: Buffer): Buffer {
  const block = Buffer.alloc(512);
  new Header({ path, mode: 0o644, size: body.length, type: "File", mtime: new Date(0), uid: 0, gid: 0 }).encode(block);
  return Buffer.concat([block, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

test.each([
  ["zstd", () => createZstdCompress()],
  ["gzip", () => createGzip()],
])("the digest of a deploy comes from a bundle: %s", async (name, compressor) => {
  await host.run(["keygen", keyFile]);
  const manifest = Buffer.from('{"format":1}\n');
  const file = host.path(`bundle.${name}`);
  const tar = Buffer.concat([
    entry("manifest.json", manifest),
    entry("app/manage.py", Buffer.alloc(200_000, "x")),
    Buffer.alloc(1024),
  ]);
  await pipeline(Readable.from([tar]), compressor(), createWriteStream(file));
  const { out } = await tokenFor("deploy", file);
  expect(decodeJwt(out.trim()).aud).toBe(`cutover/v1/web1.example.com:7070/shop/deploy/${manifestDigest(manifest)}`);
});

test("what is no bundle has no digest", async () => {
  await host.run(["keygen", keyFile]);
  const file = host.path("not-a-bundle");
  await writeFile(file, entry("README", Buffer.from("hello")));
  for (const path of [file, keyFile, host.path("missing")]) {
    const { exit, err } = await tokenFor("deploy", path);
    expect(exit).toBe(1);
    expect(err).toContain("[bundle_invalid]");
  }
});
