import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Instance } from "../../../../agent/contracts/privileged.ts";
import { SocketProbe } from "../../../../agent/host/net/health.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { makeCertificate } from "../../../harness/certificate.ts";
import { haproxyInFront } from "../../../harness/haproxy.ts";
import { eventually, freePort, scratch } from "../scratch.ts";
import { ask, backend, nginxProgram, saying, seen, siteHost, startNginx, uwsgiBackend } from "./site-host.ts";

/** What stands in front of the host's nginx comes from these addresses, and the visitors from others of this machine. */
const nginxAddress = "127.0.9.8";
const trusting = { trusted_proxies: ["127.0.9.8/31", "fd00::/8"] };

/** Django behind a load balancer, as its documentation says: all plain requests are sent to https. */
const django = `
import os
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
def show(request):
    return JsonResponse({"address": request.META.get("HTTP_X_FORWARDED_FOR"), "secure": request.is_secure()})
urlpatterns = [path("", show)]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", SECURE_SSL_REDIRECT=True,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
app = get_wsgi_application()
`;

const asgi = `
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (scope["client"][0] + " " + scope["scheme"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
`;

/** A Python server on a socket that ends with the test. */
async function python(text: string, argv: (socket: string) => string[]): Promise<Instance> {
  const dir = scratch();
  const path = join(dir, "web-0.sock");
  writeFileSync(join(dir, "shop.py"), text);
  const server = spawn("/usr/bin/python3", ["-m", ...argv(path)], { cwd: dir, stdio: "ignore" });
  endsWithTest(server);
  const instance: Instance = { name: "web-0", address: `unix:${path}`, protocol: "http" };
  const request = { path: "/", host: "shop.example.com", timeoutMs: 5000 };
  await eventually(async () => (await new SocketProbe("0").check(instance, request)).kind === "status");
  return instance;
}

function endsWithTest(child: ReturnType<typeof spawn>): void {
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await ended;
  });
}

/** A second nginx: it ends TLS and passes everything to the host, as a load balancer does. */
async function nginxInFront(port: number): Promise<number> {
  const dir = scratch();
  const own = await freePort();
  const { certificateFile, keyFile } = await makeCertificate(dir, "front");
  const conf = join(dir, "nginx.conf");
  mkdirSync(join(dir, "tmp"));
  writeFileSync(
    conf,
    `pid ${dir}/nginx.pid; error_log ${dir}/error.log; events { worker_connections 64; }
http {
  access_log off; client_body_temp_path ${dir}/tmp/a; proxy_temp_path ${dir}/tmp/b; fastcgi_temp_path ${dir}/tmp/c;
  uwsgi_temp_path ${dir}/tmp/d; scgi_temp_path ${dir}/tmp/e;
  server {
    listen 127.0.0.1:${own} ssl; ssl_certificate ${certificateFile}; ssl_certificate_key ${keyFile};
    location / {
      proxy_pass http://127.0.0.1:${port}; proxy_bind ${nginxAddress};
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}`,
  );
  await startNginx(join(dir, "nginx.pid"), conf, { binary: nginxProgram() });
  return own;
}

const forged = {
  host: "shop.example.com",
  "x-forwarded-for": "6.6.6.6",
  "x-real-ip": "6.6.6.6",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "evil.example",
  "x-forwarded-port": "666",
  "x-forwarded-ssl": "on",
  "x-scheme": "https",
  forwarded: "for=6.6.6.6;proto=https;host=evil.example",
  "true-client-ip": "6.6.6.6",
  proxy: "http://evil.example",
  // Where django-ipware and its like look, and what CDNs and other servers write.
  ...Object.fromEntries(
    (
      "client-ip x-client-ip x-cluster-client-ip x-forwarded forwarded-for x-original-forwarded-for x-remote-ip x-remote-addr " +
      "x-originating-ip proxy-client-ip wl-proxy-client-ip cf-connecting-ip cf-connecting-ipv6 fastly-client-ip fly-client-ip " +
      "do-connecting-ip ali-cdn-real-ip x-appengine-user-ip x-azure-clientip x-azure-socketip x-envoy-external-address " +
      "x-proxyuser-ip cloudfront-viewer-address x-original-host x-host x-http-host-override"
    )
      .split(" ")
      .map((name) => [name, "6.6.6.6"]),
  ),
  "front-end-https": "on",
  "cf-visitor": '{"scheme":"evil"}',
  "x-original-url": "/evil",
  "x-rewrite-url": "/evil",
};
const usual = { "x-real-ip": "127.4.5.6", "x-forwarded-for": "127.4.5.6", "x-forwarded-proto": "http" };

test.each([
  ["without proxies", {}],
  ["with proxies that are others", trusting],
])("H11 %s, a visitor who says that he is somebody else, and came by https, is not believed", async (_, agent) => {
  const host = await siteHost({ agent: () => agent });
  await host.serve({}, [await backend(saying("v1"))]);
  const got = seen(await ask(host.port, "/", { headers: forged, from: "127.4.5.6" }));
  expect(got).toMatchObject({ ...usual, host: "shop.example.com" });
  expect(JSON.stringify(got)).not.toMatch(/6\.6\.6\.6|evil|666|"on"/);
  await host.serve({ server: { kind: "uwsgi", app: "hello:app" } }, [await uwsgiBackend()]);
  const { text } = await ask(host.port, "/", { headers: forged, from: "127.4.5.6" });
  expect(JSON.parse(text)).toMatchObject({
    REMOTE_ADDR: "127.4.5.6",
    REQUEST_SCHEME: "http",
    HTTP_X_FORWARDED_FOR: "127.4.5.6",
    HTTP_X_FORWARDED_PROTO: "http",
  });
  expect(JSON.parse(text)).not.toHaveProperty("HTTPS");
  expect(text).not.toMatch(/6\.6\.6\.6|evil|666|"on"/);
});

test("H11 uvicorn takes for the client who nginx says it is, whatever the visitor says", async () => {
  const host = await siteHost();
  const options = ["--proxy-headers", "--forwarded-allow-ips", "*"];
  const instance = await python(asgi, (path) => ["uvicorn", "--uds", path, ...options, "shop:app"]);
  await host.serve({}, [instance]);
  expect((await ask(host.port, "/", { headers: forged, from: "127.4.5.6" })).text).toBe("127.4.5.6 http");
});

test("H11 behind an nginx or an HAProxy that ends TLS, Django knows the visitor and redirects nobody", async () => {
  const host = await siteHost({ agent: () => trusting });
  await host.serve({}, [await python(django, (path) => ["gunicorn", "--bind", `unix:${path}`, "shop:app"])]);
  const nginx = await nginxInFront(host.port);
  const lines = ["option forwardfor", "http-request set-header X-Forwarded-Proto https"];
  const haproxy = await haproxyInFront(host.port, { lines });
  for (const port of [nginx, haproxy]) {
    const answer = await ask(port, "/", { secure: true, from: "127.7.7.7", headers: { host: "shop.example.com" } });
    expect([answer.status, answer.text]).toEqual([200, '{"address": "127.7.7.7", "secure": true}']);
    // What a visitor forges stands before what the proxy adds, and the last one that nobody trusted wrote counts.
    const lied = await ask(port, "/", { secure: true, from: "127.7.7.7", headers: forged });
    expect([lied.status, lied.text]).toEqual([200, '{"address": "127.7.7.7", "secure": true}']);
  }
  // Whoever gets around them is a visitor who came by plain HTTP.
  const around = await ask(host.port, "/", { from: "127.7.7.7", headers: forged });
  expect([around.status, around.headers.location]).toEqual([301, "https://shop.example.com/"]);
});

test("H11 the PROXY protocol of HAProxy names the visitor, and headers name nobody", async () => {
  const host = await siteHost({ agent: (port) => ({ ...trusting, proxy_protocol: [port] }) });
  await host.serve({}, [await backend(saying("v1"))]);
  const spoken: [words: string, lines: string[], proto: string][] = [
    ["send-proxy", ["http-request set-dst-port int(443)"], "https"],
    ["send-proxy-v2", [], "http"],
  ];
  for (const [server, lines, proto] of spoken) {
    const port = await haproxyInFront(host.port, { server, lines });
    const { "x-forwarded-proto": _, ...headers } = forged;
    const got = seen(await ask(port, "/", { secure: true, from: "127.7.7.7", headers }));
    expect(got).toMatchObject({ "x-real-ip": "127.7.7.7", "x-forwarded-for": "127.7.7.7", "x-forwarded-proto": proto });
    expect(JSON.stringify(got)).not.toMatch(/6\.6\.6\.6|evil|666/);
  }
  // A stranger who speaks it is taken for the one whose connection it is.
  const lie = `PROXY TCP4 6.6.6.6 127.0.0.1 1234 443\r\nGET / HTTP/1.0\r\nHost: shop.example.com\r\n\r\n`;
  const answer = await new Promise<string>((resolve, reject) => {
    let text = "";
    const socket = connect({ port: host.port, host: "127.0.0.1", localAddress: "127.4.5.6" }, () => socket.write(lie));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.once("end", () => resolve(text)).once("error", reject);
  });
  expect(answer).toContain('"x-real-ip":"127.4.5.6"');
  expect(answer).not.toContain("6.6.6.6");
  const visit = { address: host.port, host: "shop.example.com", path: "/", timeoutMs: 5000 };
  expect(await new SocketProbe("0", host.settings).visit(visit)).toMatchObject({ kind: "status", status: 200 });
});

test("H11 the visitor of a deploy speaks the PROXY protocol by TLS too", async () => {
  const host = await siteHost({ agent: (port) => ({ ...trusting, proxy_protocol: [port] }) });
  const { certificateFile: certificate, keyFile: key } = await makeCertificate(scratch(), "own");
  const listen = [`127.0.0.1:${host.port} ssl`];
  host.allow({ listen, tls: { certificate, key } });
  await host.serve({}, [await backend(saying("v1"))]);
  const visit = { address: `${host.port} ssl`, host: "shop.example.com", path: "/", timeoutMs: 5000 };
  expect(await new SocketProbe("0", host.settings).visit(visit)).toMatchObject({ kind: "status", body: "v1" });
});

test("the PROXY protocol without anybody who is trusted is refused", () => {
  expect(agentSettingsSchema.safeParse({ proxy_protocol: [80] }).error?.issues[0]?.message).toMatch(/trusted_proxies/);
});
