import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { Nginx } from "../../../../agent/host/nginx/nginx.ts";
import { renderSite } from "../../../../agent/host/nginx/site-config.ts";
import { renderUpstreams } from "../../../../agent/host/nginx/upstream-config.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import { eventually, freePort, testConfig } from "../scratch.ts";
import {
  ask,
  backend,
  nginxProgram,
  nobody,
  type SiteHost,
  saying,
  seen,
  siteHost,
  uwsgiBackend,
} from "./site-host.ts";

/** What nginx itself reads: its configuration, file by file. */
function loaded({ settings }: SiteHost): string {
  return execFileSync(nginxProgram(), ["-T", "-q", "-c", settings.nginx.conf ?? ""], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}

test("the instances are told who asked, for which host, and how", async () => {
  const host = await siteHost();
  await host.serve({}, [await backend(saying("v1"))]);
  const answer = await ask(host.port, "/a?b=%20", {
    headers: { host: "shop.example.com:81", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https" },
    from: "127.4.5.6",
  });
  expect(answer).toMatchObject({ status: 200, text: "v1" });
  expect(seen(answer)).toMatchObject({
    host: "shop.example.com:81",
    "x-real-ip": "127.4.5.6",
    "x-forwarded-for": "127.4.5.6",
    "x-forwarded-proto": "http",
    connection: "close",
    url: "/a?b=%20",
  });
});

test("several addresses, and names beside the default server", async () => {
  const host = await siteHost();
  const second = await freePort();
  host.allow({ listen: [`127.0.0.1:${host.port}`, `127.0.0.1:${second}`], domains: ["shop.example.com"] });
  const instance = await backend(saying("v1"));
  await host.serve({ site: { server_name: ["shop.example.com"] } }, [instance]);
  for (const port of [host.port, second]) {
    expect((await ask(port, "/", { headers: { host: "shop.example.com" } })).text).toBe("v1");
  }
  await host.serve({ site: { listen: [`127.0.0.1:${second}`] } }, [instance]);
  expect((await ask(second)).text).toBe("v1");
  await expect(ask(host.port)).rejects.toThrow();
});

test("client_max_body_size: one byte more is 413", async () => {
  const host = await siteHost();
  await host.serve({ site: { client_max_body_size: "1k" } }, [await backend(saying("v1"))]);
  expect((await ask(host.port, "/", { method: "POST", body: "x".repeat(1024) })).status).toBe(200);
  expect((await ask(host.port, "/", { method: "POST", body: "x".repeat(1025) })).status).toBe(413);
});

test("client_body_timeout: a body that stops coming is given up", async () => {
  const host = await siteHost();
  await host.serve({ site: { client_body_timeout: "50ms" } }, [await backend(saying("v1"))]);
  const socket = connect(host.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx");
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  expect(text).toMatch(/^(?:HTTP\/1.1 408|$)/);
});

test("proxy_read_timeout: a silent instance is 504", async () => {
  const host = await siteHost();
  await host.serve({ site: { proxy_read_timeout: "50ms", proxy_connect_timeout: "7s", proxy_send_timeout: "8s" } }, [
    await backend(() => undefined),
  ]);
  expect((await ask(host.port)).status).toBe(504);
  const text = loaded(host);
  expect(text).toContain("proxy_connect_timeout 7s;");
  expect(text).toContain("proxy_send_timeout 8s;");
});

test("proxy_buffering: nginx takes an answer over for a slow reader", async () => {
  const host = await siteHost();
  let whole = false;
  const instance = await backend((_request, response) => {
    // More than the buffers of all sockets take together.
    response.end(Buffer.alloc(32 * 1024 ** 2), () => {
      whole = true;
    });
  });
  await host.serve({}, [instance]);
  const socket = connect(host.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await eventually(async () => whole);
});

test("proxy_buffering off: what an instance writes arrives at once", async () => {
  const host = await siteHost();
  let finish = (): void => undefined;
  const instance = await backend((_request, response) => {
    response.write("first");
    finish = () => void response.end("last");
  });
  await host.serve({ site: { proxy_buffering: false } }, [instance]);
  const socket = connect(host.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.includes("first") && !text.includes("last")) finish();
  }
  expect(text).toMatch(/first[\s\S]*last/);
});

test.each([true, false])(
  "proxy_request_buffering %s: whether an instance sees a body before it is complete",
  async (buffering) => {
    const host = await siteHost();
    let begun = false;
    const instance = await backend((request, response) => {
      begun = true;
      request.resume().on("end", () => response.end("whole"));
    });
    await host.serve({ site: { proxy_request_buffering: buffering } }, [instance]);
    const socket = connect(host.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab");
    if (!buffering) await eventually(async () => begun);
    // A second request is answered by then: what is not buffered would have begun.
    else expect((await ask(host.port, "/", { method: "POST", body: "x" })).text).toBe("whole");
    begun = buffering ? false : begun;
    socket.write("cd");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toContain("whole");
    expect(begun).toBe(true);
  },
);

test("gzip: text of 1 kB and more is compressed, for who takes it, and caches are told", async () => {
  const host = await siteHost();
  const instance = await backend(({ url }, response) => {
    response.setHeader("content-type", url === "/png" ? "image/png" : "application/json; charset=utf-8");
    response.setHeader("content-length", url === "/short" ? 10 : 5000);
    response.end("x".repeat(url === "/short" ? 10 : 5000));
  });
  const headers = { "accept-encoding": "gzip", via: "1.1 a proxy" };
  await host.serve({ site: {} }, [instance]);
  expect((await ask(host.port, "/", { headers })).headers["content-encoding"]).toBeUndefined();
  await host.serve({ site: { gzip: true } }, [instance]);
  const zipped = await ask(host.port, "/", { headers });
  expect(zipped.headers).toMatchObject({ "content-encoding": "gzip", vary: "Accept-Encoding" });
  expect(gunzipSync(zipped.body)).toHaveLength(5000);
  for (const path of ["/short", "/png"]) {
    expect((await ask(host.port, path, { headers })).headers["content-encoding"]).toBeUndefined();
  }
  expect((await ask(host.port)).headers["content-encoding"]).toBeUndefined();
});

test("add_header: on every response, also of errors and files, exactly as it is written", async () => {
  const host = await siteHost();
  host.file("releases/a/static/static/app.1a2b3c4d5e6f.css", "a");
  host.file("releases/a/static/static/app.css", "a");
  host.link("current", "a");
  const values = {
    "X-Quotes": `it's "quoted" \\ \\n \\" and \\`,
    "X-Signs": "a; } { # % { \\t ümläut",
    "Access-Control-Allow-Origin": "*",
  };
  const instance = await backend(({ url }, response) => {
    response.writeHead(url === "/" ? 200 : 500);
    response.end();
  });
  const site = { static: [{ url: "/static/", from: "s", expires: "1h" }], site: { add_header: values } };
  const check = async (path: string, status: number) => {
    const answer = await ask(host.port, path);
    expect([path, answer.status]).toEqual([path, status]);
    for (const [name, value] of Object.entries(values)) {
      expect(Buffer.from(String(answer.headers[name.toLowerCase()]), "latin1").toString()).toBe(value);
    }
  };
  await host.serve(site, [instance]);
  await check("/", 200);
  await check("/500", 500);
  await check("/static/app.css", 200);
  await check("/static/app.1a2b3c4d5e6f.css", 200);
  await check("/static/none.css", 404);
  await host.serve(site, [nobody()]);
  await check("/", 502);
});

test("site none: only the upstream, for a server block by hand", async () => {
  const host = await siteHost();
  const { conf_dir: confDir } = host.settings.nginx;
  const instance = await backend(saying("v1"));
  await host.serve({}, [instance]);
  expect(existsSync(join(confDir, "cutover-shop.conf"))).toBe(true);
  const other = await freePort();
  writeFileSync(
    join(confDir, "by-hand.conf"),
    `server { listen 127.0.0.1:${other}; location / { proxy_pass http://shop; proxy_set_header X-Hand made; } }\n`,
  );
  await host.serve({ site: "none" }, [instance]);
  expect(existsSync(join(confDir, "cutover-shop.conf"))).toBe(false);
  await expect(ask(host.port)).rejects.toThrow();
  expect(seen(await ask(other))).toMatchObject({ "x-hand": "made" });
  const next = await backend(saying("v2"));
  expect(await host.serve({ site: "none" }, [next])).toEqual({ reloaded: false });
  expect((await ask(other)).text).toBe("v2");
});

test("an app of the longest name with the most peers: nginx's tables take all of it", async () => {
  const host = await siteHost();
  const app = "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-pq";
  const { conf, conf_dir: confDir, binary, log_dir: logDir } = host.settings.nginx;
  const preview = { cookie: "preview=blue", header: "X-Preview: blue" };
  const peers = Array.from({ length: 32 }, (_, n) => ({ server: `127.0.0.1:${n + 1}`, weight: n + 1 }));
  const config = testConfig({ app, site: { upgrade: true, preview, balance: "least_conn", peers } });
  const listen = [`127.0.0.1:${host.port}`];
  const nginx = new Nginx({ binary, conf, confDir });
  mkdirSync(requestPlaces(host.settings.data).lines);
  const site = renderSite({
    ...{ app, home: host.home, logDir, nginx: await nginx.features(), requests: requestPlaces(host.settings.data) },
    front: { trusted: [], proxyProtocol: [] },
    access: undefined,
    passes: false,
    http3: false,
    drainPath: undefined,
    main: { config, listen, serverNames: [], tls: undefined, acmeChallenge: undefined },
    preview: { config, tls: undefined },
  });
  const part = { config, slots: new Array<null>(60).fill(null) };
  const upstreams = renderUpstreams([
    { name: app, part, links: join(host.home, "slots"), peers: true },
    { name: `${app}.preview`, part, links: join(host.home, "preview"), peers: false },
  ]);
  await nginx.write([
    { name: "cutover-long.conf", text: site },
    { name: "cutover-long.upstream.conf", text: upstreams },
  ]);
  expect((await ask(host.port)).status).toBe(502);
});

test("uwsgi: an instance is told all that it needs, and answers", async () => {
  const host = await siteHost();
  const instance = await uwsgiBackend();
  const parts = {
    server: { kind: "uwsgi", app: "hello:app" },
    site: { proxy_read_timeout: "7s", proxy_buffering: false },
  };
  await host.serve(parts, [instance]);
  const answer = await ask(host.port, "/a%20b?c=d", {
    method: "POST",
    body: "body",
    headers: { host: "shop.example.com:81", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https" },
    from: "127.4.5.6",
  });
  expect([answer.status, JSON.parse(answer.text)]).toMatchObject([
    200,
    {
      body: "body",
      REQUEST_METHOD: "POST",
      PATH_INFO: "/a b",
      QUERY_STRING: "c=d",
      REQUEST_URI: "/a%20b?c=d",
      SERVER_PROTOCOL: "HTTP/1.1",
      SERVER_PORT: String(host.port),
      REMOTE_ADDR: "127.4.5.6",
      HTTP_HOST: "shop.example.com:81",
      HTTP_X_REAL_IP: "127.4.5.6",
      HTTP_X_FORWARDED_FOR: "127.4.5.6",
      HTTP_X_FORWARDED_PROTO: "http",
    },
  ]);
  const text = loaded(host);
  expect(text).toContain("uwsgi_read_timeout 7s;");
  expect(text).toContain("uwsgi_buffering off;");
});
