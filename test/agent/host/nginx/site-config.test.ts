import { expect, test } from "vitest";
import { renderSite } from "../../../../agent/host/nginx/site-config.ts";
import { testConfig } from "../scratch.ts";
import {
  closed,
  input,
  logFormat,
  main,
  maintenance,
  nothingOwn,
  requestFormat,
  requestLines,
  unavailable,
} from "./site-input.ts";

test("a plain site, exactly", () => {
  expect(renderSite(input)).toBe(`# Written by cutover. Changes are lost.
${logFormat}${requestFormat}
server {
    listen 80;
    server_name shop.example.com;
    root $cutover_shop_slot;
    access_log "/var/log/nginx/cutover-shop.access.log" cutover-shop;
    error_log "/var/log/nginx/cutover-shop.error.log";
    server_tokens off;
    client_max_body_size 50m;
    client_body_timeout 60s;
    open_file_cache off;
${requestLines()}${maintenance}    error_page 502 503 504 @cutover_unavailable;

    location / {
        if ($cutover_shop_shut) {
            return 503;
        }
        proxy_pass http://shop;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
${nothingOwn}        proxy_redirect off;
        proxy_next_upstream error;
        proxy_connect_timeout 60s;
        proxy_read_timeout 60s;
        proxy_send_timeout 60s;
        proxy_buffering on;
        proxy_request_buffering on;
        proxy_intercept_errors off;
    }

    location @cutover_unavailable {
        types { }
        default_type text/html;
        add_header Retry-After 30 always;
        if ($cutover_shop_shut) {
            return 503 ${closed};
        }
        return 503 ${unavailable};
    }
}
`);
});

test("an instance that speaks uwsgi, exactly", () => {
  const site = { upgrade: true, proxy_buffering: false, proxy_request_buffering: false, proxy_intercept_errors: true };
  const text = renderSite({ ...input, main: main({ server: { kind: "uwsgi", app: "shop:app" }, site }) });
  expect(text).toContain(`
        uwsgi_pass shop;
        uwsgi_param QUERY_STRING $query_string;
        uwsgi_param REQUEST_METHOD $request_method;
        uwsgi_param CONTENT_TYPE $content_type;
        uwsgi_param CONTENT_LENGTH $content_length;
        uwsgi_param REQUEST_URI $request_uri;
        uwsgi_param PATH_INFO $document_uri;
        uwsgi_param DOCUMENT_ROOT $document_root;
        uwsgi_param SERVER_PROTOCOL $server_protocol;
        uwsgi_param REQUEST_SCHEME $scheme;
        uwsgi_param HTTPS $https if_not_empty;
        uwsgi_param REMOTE_ADDR $remote_addr;
        uwsgi_param REMOTE_PORT $remote_port;
        uwsgi_param SERVER_PORT $server_port;
        uwsgi_param SERVER_NAME $server_name;
        uwsgi_param HTTP_X_REAL_IP $remote_addr if_not_empty;
        uwsgi_param HTTP_X_FORWARDED_FOR $remote_addr if_not_empty;
        uwsgi_param HTTP_X_FORWARDED_PROTO $scheme if_not_empty;
${nothingOwn.replace(/proxy_set_header (\S+) "";/g, (_, name) => `uwsgi_param HTTP_${name.toUpperCase().replaceAll("-", "_")} "" if_not_empty;`)}        uwsgi_next_upstream error;
        uwsgi_connect_timeout 60s;
        uwsgi_read_timeout 60s;
        uwsgi_send_timeout 60s;
        uwsgi_buffering off;
        uwsgi_request_buffering off;
        uwsgi_intercept_errors on;
    }
`);
  expect(text).not.toContain("proxy_pass");
});

test("without a name it is the default server of its addresses", () => {
  const text = renderSite({ ...input, main: main({}, { listen: [80, "[::]:80"], serverNames: [] }) });
  expect(text).toContain("    listen 80 default_server;\n    listen [::]:80 default_server;\n    server_name _;\n");
});

test("what a version of nginx does not know is not written, and what it has moved is written as it wants", () => {
  const tls = { certificate: "/c", key: "/k" };
  const at = (version: [number, number, number], modules: string[], bind: "port" | "socket" = "port") =>
    renderSite({
      ...input,
      nginx: { version, modules: new Set(modules) },
      main: main({ server: { kind: "gunicorn", app: "shop:app", bind } }, { tls, listen: ["443 ssl"] }),
    });
  expect(at([1, 25, 0], ["http_v2_module"])).toContain(
    "    listen 443 ssl http2;\n    server_name shop.example.com;\n    ssl_",
  );
  const newer = at([1, 25, 1], ["http_v2_module"]);
  expect(newer).toContain("    listen 443 ssl;\n    server_name shop.example.com;\n    http2 on;\n");
  expect(at([1, 29, 0], [])).not.toContain("http2");
  expect(newer).not.toContain("keepalive_min_timeout");
  expect(at([1, 27, 4], [])).toContain("    keepalive_min_timeout 5s;\n");
  expect(at([1, 27, 4], [], "socket")).not.toContain("keepalive_min_timeout");
});

test("the port of https is not said where it is 443", () => {
  const tls = { certificate: "/c", key: "/k" };
  const text = renderSite({ ...input, main: main({}, { tls, listen: [80, "8443 ssl", "0.0.0.0:443 ssl"] }) });
  expect(text).toContain("return 301 https://$host$request_uri;");
});

test("HTTP/3 where the owner wants it and nginx has it: with TLS, not at a balancer's port, not for the preview", () => {
  const tls = { certificate: "/c", key: "/k" };
  const site = { hsts: { max_age: "86d" }, preview: { listen: "444 ssl" } };
  const listen = [80, "8443 ssl", "[::]:443 ssl"];
  const at = (http3: boolean, modules: string[], proxyProtocol: number[] = []) =>
    renderSite({
      ...{ ...input, http3, front: { trusted: [], proxyProtocol } },
      nginx: { version: [1, 26, 3], modules: new Set(modules) },
      main: main({ site }, { tls, listen }),
      preview: { config: testConfig({ site }), tls },
    });
  const text = at(true, ["http_v3_module"]) ?? "";
  expect(text.match(/listen .* quic;/g)).toEqual(["listen 8443 quic;", "listen [::]:443 quic;"]);
  const altSvc = 'add_header Alt-Svc "h3=\\":443\\"; ma=86400" always;';
  expect(text).toContain(altSvc);
  // An app that says the same is not heard twice, as with HSTS.
  expect(text).toContain("proxy_hide_header Alt-Svc;");
  const [, shown = ""] = text.split("listen 444 ssl;");
  expect(shown).not.toContain("Alt-Svc");
  const behind = at(true, ["http_v3_module"], [443]) ?? "";
  expect(behind.match(/listen .* quic;/g)).toEqual(["listen 8443 quic;"]);
  expect(behind).toContain('"h3=\\":8443\\"; ma=86400"');
  for (const none of [at(true, []), at(false, ["http_v3_module"])]) expect(none).not.toMatch(/quic|Alt-Svc/);
  const open = renderSite({
    ...input,
    http3: true,
    nginx: { version: [1, 26, 3], modules: new Set(["http_v3_module"]) },
  });
  expect(open).not.toMatch(/quic|Alt-Svc/);
});

test("a server block by hand: no file", () => {
  expect(renderSite({ ...input, main: main({ site: "none" }) })).toBeUndefined();
  expect(renderSite({ ...input, main: null })).toBeUndefined();
});

test("apps whose names differ in a dash have variables of their own", () => {
  const variables = (app: string) =>
    renderSite({ ...input, app, main: main({ site: { upgrade: true } }) })?.match(/\$cutover_\w+/g)?.[0];
  expect([variables("a"), variables("a-b"), variables("a-conn")]).toEqual([
    ...["$cutover_a_conn", "$cutover_a_b_conn", "$cutover_a_conn_conn"],
  ]);
});

test.each(["/srv/$home", '/srv/"x', "/srv/a\nb", "/srv/a\u007f", "/srv/\\x", "/srv/it's"])(
  "the data directory %j is refused",
  (home) => {
    expect(() => renderSite({ ...input, home })).toThrow(expect.objectContaining({ code: "config_invalid" }));
  },
);

test.each(["$host", "a;b", "a b", "a{", "~^a", '"a"'])("the name %j is refused", (name) => {
  expect(() => renderSite({ ...input, main: main({}, { serverNames: [name] }) })).toThrow(
    expect.objectContaining({ code: "config_invalid" }),
  );
});

test.each([
  { add_header: { "X-A": "$host" } },
  { add_header: { "X-A": "a\nb" } },
  { add_header: { "X-A;": "a" } },
  { add_header: { "X-A": '"'.repeat(2001) } },
  { error_page: "a$b.html" },
  { error_page: "../a.html" },
  { error_page: "/etc/passwd" },
  { preview: { cookie: "a=b;c" } },
  { preview: { header: 'X: a"b' } },
  { server_name: ["a;b"] },
  { listen: ["80; evil"] },
  { listen: ["80 ssl default_server"] },
  { client_max_body_size: "1m; evil" },
  { proxy_read_timeout: "1s; evil" },
  { peers: [{ server: "a:80; evil" }] },
])("cutover.yml with %j is refused before it gets here", (site) => {
  expect(() => testConfig({ site })).toThrow();
});

test.each(["a$b", "../a", "/a"])("a shared folder %j is refused before it gets here", (from) => {
  expect(() => testConfig({ shared: [{ url: "/media/", from }] })).toThrow();
});
