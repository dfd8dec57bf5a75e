import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { MaintenanceFiles } from "../../../agent/host/nginx/maintenance.ts";
import { ask, nobody, type SiteHost, siteHost } from "../../agent/host/nginx/site-host.ts";
import { freePort } from "../../agent/host/scratch.ts";
import { users } from "../../harness/two-processes.ts";

/**
 * T2: a repository leaves a link to another app's file, which nginx may read, among what nginx serves. nginx's workers have
 * the user that they have on a host. It does not matter to whom the link belongs, as far as root can tell.
 */
const secret = "another app's secret";
const root = process.geteuid?.() === 0;

let host: SiteHost;
let preview: number;
let stolen: string;

beforeEach(async () => {
  const conf = (text: string) => (root ? text.replace("user root root;", `user ${users.nginx};`) : text);
  host = await siteHost({ conf });
  preview = await freePort();
  host.allow({ preview: [`127.0.0.1:${preview}`] });
  stolen = join(host.home, "../other/shared/upload");
  mkdirSync(dirname(stolen), { recursive: true });
  writeFileSync(stolen, secret, { mode: 0o660 });
  writeFileSync(`${stolen}.gz`, secret, { mode: 0o660 });
  if (root) for (const file of [stolen, `${stolen}.gz`]) chown(`${users.otherApp}:${users.nginx}`, file);
  for (const link of ["current", "canary", "previous", "staged"] as const) {
    host.file(`releases/${link}/static/static/own.css`, link);
    host.file(`releases/${link}/app/errors/own.html`, link);
    host.link(link, link);
  }
});

function chown(owner: string, path: string): void {
  execFileSync("chown", ["-h", owner, path]);
}

/** A link in place of what is there. @param owner whose it becomes */
function plant(path: string, target: string, owner: string): void {
  const place = join(host.home, path);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(target, place);
  if (root) chown(owner, place);
}

const parts = (site: object = {}) => ({
  static: [{ url: "/static/", from: "collected", gzip_static: true }],
  shared: [{ url: "/media/", from: "media" }],
  site: { preview: { listen: `127.0.0.1:${preview}` }, ...site },
});

async function serve(site: object = {}): Promise<void> {
  await host.serve(parts(site), [nobody()], { parts: parts(site), instances: [nobody()] });
}

const owners = root ? ["root", users.app, users.otherApp] : ["self"];
const headers = { "accept-encoding": "gzip" };

describe.each(owners)("T2: nginx follows no link of %s's", (owner) => {
  test.each([
    ["current", "main"],
    ["canary", "main"],
    ["previous", "main"],
    ["staged", "preview"],
    ["current", "preview"],
  ] as const)("among the static files of the release %s, on the %s site", async (release, which) => {
    await serve();
    const port = which === "main" ? host.port : preview;
    const files = `releases/${release}/static`;
    for (const name of ["leak.txt", "leak.0123456789ab.txt"]) {
      plant(`${files}/static/${name}`, stolen, owner);
      expect((await ask(port, `/static/${name}`)).status).toBe(404);
    }
    host.file(`${files}/static/zipped.txt`, "plain");
    plant(`${files}/static/zipped.txt.gz`, stolen, owner);
    expect((await ask(port, "/static/zipped.txt", { headers })).text).not.toContain(secret);
    plant(`${files}/static/folder`, dirname(stolen), owner);
    expect((await ask(port, "/static/folder/upload")).status).toBe(404);
    expect((await ask(port, "/static/folder/upload", { headers })).status).toBe(404);
    plant(`${files}/static`, dirname(stolen), owner);
    expect((await ask(port, "/static/upload")).status).toBe(404);
    plant(files, join(dirname(stolen), ".."), owner);
    expect((await ask(port, "/static/shared/upload")).text).not.toContain(secret);
  });

  test.each(["current", "canary", "previous"])(
    "as the error page of the release %s, open and closed",
    async (release) => {
      await serve({ error_page: "errors/page.html" });
      plant(`releases/${release}/app/errors/page.html`, stolen, owner);
      const maintenance = new MaintenanceFiles(host.settings.data);
      for (const closed of [false, true]) {
        if (closed) await maintenance.begin("shop", []);
        const { status, text } = await ask(host.port);
        expect([status, text]).toEqual([
          closed ? 503 : 502,
          expect.stringContaining(closed ? "Back soon" : "Not available"),
        ]);
      }
      rmSync(join(host.home, `releases/${release}/app/errors/page.html`));
      plant(`releases/${release}/app/errors`, dirname(stolen), owner);
      await serve({ error_page: "errors/upload" });
      expect((await ask(host.port)).text).toContain("Back soon");
    },
  );
});

test.runIf(root)("T2: a link among an app's shared files leads only to what its owner has", async () => {
  await serve();
  const media = join(host.home, "shared/media");
  mkdirSync(media, { recursive: true });
  writeFileSync(join(media, "own.txt"), "own");
  for (const path of [media, join(media, "own.txt")]) chown(users.app, path);
  plant("shared/media/good", "own.txt", users.app);
  plant("shared/media/leak", stolen, users.app);
  plant("shared/media/folder", dirname(stolen), users.app);
  expect((await ask(host.port, "/media/good")).text).toBe("own");
  for (const path of ["/media/leak", "/media/folder/upload"]) {
    expect((await ask(host.port, path)).text).not.toContain(secret);
  }
  plant("shared/media", dirname(stolen), users.app);
  expect((await ask(host.port, "/media/upload")).text).not.toContain(secret);
});

test.runIf(root)(
  "T2: a link among ACME's answers, in a directory of the app's user, leads only to what its owner has",
  async () => {
    const acme = join(host.home, "shared/acme");
    const answers = join(acme, ".well-known/acme-challenge");
    mkdirSync(answers, { recursive: true });
    writeFileSync(join(answers, "token"), "answer");
    for (const path of [acme, dirname(answers), answers, join(answers, "token")]) chown(users.app, path);
    plant("shared/acme/.well-known/acme-challenge/good", "token", users.app);
    plant("shared/acme/.well-known/acme-challenge/leak", stolen, users.app);
    host.allow({ preview: [`127.0.0.1:${preview}`], acme_challenge: acme });
    await serve();
    const asked = (name: string) => ask(host.port, `/.well-known/acme-challenge/${name}`);
    expect([(await asked("token")).text, (await asked("good")).text]).toEqual(["answer", "answer"]);
    expect((await asked("leak")).text).not.toContain(secret);
  },
);

test("T2: what a release has itself is served, its error page out of a folder of collected files too", async () => {
  host.file("releases/current/static/static/errors/50x.html", "<h1>ours</h1>");
  // As the release has it: only a link leads from the project to what was collected.
  plant("releases/current/app/collected", "../static/static", "root");
  await serve({ error_page: "collected/errors/50x.html" });
  expect((await ask(host.port)).text).toBe("<h1>ours</h1>");
  for (const [port, text] of [
    [host.port, "current"],
    [preview, "staged"],
  ] as const) {
    expect((await ask(port, "/static/own.css")).text).toBe(text);
  }
  expect(readFileSync(stolen, "utf8")).toBe(secret);
});
