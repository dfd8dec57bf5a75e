import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MaintenanceFiles } from "../../../../agent/host/nginx/maintenance.ts";
import { freePort, scratch } from "../scratch.ts";
import { ask, backend, nobody, saying, siteHost } from "./site-host.ts";

test("maintenance closes the site at once and without a reload, and lets through whom it names", async () => {
  const host = await siteHost();
  host.file("releases/a/static/static/a.css", "a");
  host.link("current", "a");
  const instance = await backend(saying("v1"));
  const parts = { static: [{ url: "/static/", from: "s" }] };
  await host.serve(parts, [instance]);
  const maintenance = new MaintenanceFiles(host.settings.data);
  expect(await maintenance.state("shop")).toBeUndefined();

  await maintenance.begin("shop", ["127.0.0.7"]);
  for (const method of ["GET", "POST"]) {
    const closed = await ask(host.port, "/", { method });
    expect([closed.status, closed.headers["content-type"], closed.headers["retry-after"]]).toEqual([
      503,
      "text/html",
      "30",
    ]);
    expect(closed.text).toContain("closed for maintenance");
  }
  expect((await ask(host.port, "/", { from: "127.0.0.7" })).text).toBe("v1");
  expect((await ask(host.port, "/static/a.css")).text).toBe("a");
  expect(await maintenance.state("shop")).toEqual({ since: expect.any(String), allow: ["127.0.0.7"] });

  // Others are let through, and the time of the closing stays. A deploy and a new agent change nothing.
  const { since = "" } = (await maintenance.state("shop")) ?? {};
  await new MaintenanceFiles(host.settings.data).begin("shop", ["127.0.0.8", "2001:DB8:0:0::1"]);
  expect(await host.serve(parts, [await backend(saying("v2"))])).toEqual({ reloaded: false });
  expect(await maintenance.state("shop")).toEqual({ since, allow: ["127.0.0.8", "2001:db8::1"] });
  expect((await ask(host.port, "/", { from: "127.0.0.7" })).status).toBe(503);
  expect((await ask(host.port, "/", { from: "127.0.0.8" })).text).toBe("v2");

  await maintenance.end("shop");
  await maintenance.end("shop");
  expect((await ask(host.port)).text).toBe("v2");
  expect(existsSync(join(host.home, "maintenance"))).toBe(false);
});

test("a begin that fails leaves the site open and nothing behind, and an end clears what a killed one left", async () => {
  const data = scratch();
  const maintenance = new MaintenanceFiles(data);
  const directory = join(data, "apps/shop/maintenance");
  // A directory with the file's name prevents the file.
  mkdirSync(join(directory, "on.tmp"), { recursive: true });
  await expect(maintenance.begin("shop", ["127.0.0.7"])).rejects.toThrow();
  expect(await maintenance.state("shop")).toBeUndefined();
  expect(existsSync(directory)).toBe(false);

  mkdirSync(join(directory, "allow"), { recursive: true });
  await maintenance.end("shop");
  expect(existsSync(directory)).toBe(false);
});

test("C18: several who close and open the site at once: the last one counts, whole", async () => {
  const data = scratch();
  const maintenance = new MaintenanceFiles(data);
  const lists = [["127.0.0.1", "127.0.0.2"], ["127.0.0.3"], ["127.0.0.4", "127.0.0.5", "127.0.0.6"]];
  for (let round = 0; round < 10; round++) {
    const views = await Promise.all(lists.map((allow) => maintenance.begin("shop", allow)));
    expect(views.map(({ allow }) => allow)).toEqual(lists);
    expect((await maintenance.state("shop"))?.allow).toEqual(lists.at(-1));

    await Promise.all([maintenance.begin("shop", ["127.0.0.7"]), maintenance.end("shop")]);
    expect(await maintenance.state("shop")).toBeUndefined();
    expect(existsSync(join(data, "apps/shop/maintenance"))).toBe(false);

    await Promise.all([maintenance.end("shop"), maintenance.begin("shop", ["127.0.0.8"])]);
    await Promise.all([maintenance.end("shop"), maintenance.begin("shop", ["127.0.0.9"])]);
    expect((await maintenance.state("shop"))?.allow).toEqual(["127.0.0.9"]);
  }
});

test("the project's own page is shown for maintenance too, with 503", async () => {
  const host = await siteHost();
  host.file("releases/a/app/50x.html", "<h1>ours</h1>");
  host.link("current", "a");
  await host.serve({ site: { error_page: "50x.html" } }, [nobody()]);
  await new MaintenanceFiles(host.settings.data).begin("shop", []);
  expect(await ask(host.port, "/", { method: "POST" })).toMatchObject({ status: 503, text: "<h1>ours</h1>" });
});

test("a preview address stays open", async () => {
  const host = await siteHost();
  const port = await freePort();
  host.allow({ preview: [port] });
  const parts = { site: { preview: { listen: port } } };
  const instance = await backend(saying("next"));
  await host.serve(parts, [instance], { parts, instances: [instance] });
  await new MaintenanceFiles(host.settings.data).begin("shop", []);
  expect([(await ask(host.port)).status, (await ask(port)).text]).toEqual([503, "next"]);
});

test("on an address for both, nginx names an IPv4 visitor another way, and lets it through all the same", async () => {
  const host = await siteHost();
  host.allow({ listen: [host.port] });
  await host.serve({}, [nobody()]);
  const maintenance = new MaintenanceFiles(host.settings.data);
  await maintenance.begin("shop", ["::ffff:127.0.0.7"]);
  expect((await maintenance.state("shop"))?.allow).toEqual(["127.0.0.7"]);
  expect(readdirSync(join(host.home, "maintenance", "allow")).toSorted()).toEqual(["127.0.0.7", "::ffff:127.0.0.7"]);
  expect((await ask(host.port, "/", { from: "127.0.0.7" })).status).toBe(502);
});

test("nginx's workers can look at the files, whatever the umask", async () => {
  const data = scratch();
  const before = process.umask(0o077);
  try {
    await new MaintenanceFiles(data).begin("shop", ["127.0.0.1"]);
  } finally {
    process.umask(before);
  }
  const modes = ["maintenance", "maintenance/allow", "maintenance/on", "maintenance/allow/127.0.0.1"].map(
    (name) => statSync(join(data, "apps", "shop", name)).mode & 0o777,
  );
  expect(modes).toEqual([0o755, 0o755, 0o644, 0o644]);
});

test.each(["", "localhost", "../on", "127.0.0.1/8", "fe80::1%eth0", "1.2.3", "::ffff:../on", "127.0.0.1\n"])(
  "%j is no address, and nothing changes",
  async (address) => {
    const data = scratch();
    await expect(new MaintenanceFiles(data).begin("shop", ["127.0.0.1", address])).rejects.toMatchObject({
      code: "request_invalid",
    });
    expect(readdirSync(data)).toEqual([]);
  },
);
