import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ask, backend, siteHost } from "./site-host.ts";

test("H12 booleans of a site hold against what nginx.conf says for all sites", async () => {
  const others =
    "proxy_intercept_errors on; proxy_buffering off; proxy_request_buffering off; gzip on; gzip_static on;";
  const host = await siteHost({ conf: (text) => text.replace("http {", `http {\n${others}`) });
  const own = "the app's own page ".repeat(100);
  const answer = await backend(({ url }, response) => {
    response.writeHead(url === "/" ? 500 : 200, { "content-type": "text/html" });
    response.end(own);
  });
  host.file("releases/v1/static/static/a.txt", "plain");
  host.file("releases/v1/static/static/a.txt.gz", "packed");
  host.link("current", "v1");
  await host.serve({ static: [{ url: "/static/", from: "s" }], site: { gzip: false } }, [answer]);
  const headers = { "accept-encoding": "gzip" };
  expect(await ask(host.port, "/", { headers })).toMatchObject({ status: 500, text: own });
  expect((await ask(host.port, "/static/a.txt", { headers })).text).toBe("plain");
  const text = readFileSync(join(host.settings.nginx.conf_dir, "cutover-shop.conf"), "utf8");
  for (const on of ["proxy_buffering on;", "proxy_request_buffering on;"]) expect(text).toContain(on);
  await host.serve({ static: [{ url: "/static/", from: "s" }] }, [answer]);
  // What the site says nothing of is nginx.conf's.
  expect((await ask(host.port, "/well", { headers })).headers["content-encoding"]).toBe("gzip");
});
