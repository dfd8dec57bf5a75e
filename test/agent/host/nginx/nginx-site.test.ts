import { expect, test } from "vitest";
import { renderSite, type SiteInput } from "../../../../agent/host/nginx/nginx-site.ts";
import { testConfig } from "../scratch.ts";

const layout = { home: "/var/lib/cutover/apps/shop", slots: "/var/lib/cutover/apps/shop/slots" };
const input: SiteInput = { app: "shop", layout, listen: [80], serverNames: ["shop.example.com"], config: testConfig() };

const slots = Array.from(
  { length: 60 },
  (_, slot) => `    server "unix:${layout.slots}/${String(slot).padStart(2, "0")}" max_fails=0;\n`,
).join("");

const proxied = `
    location / {
        proxy_pass http://cutover-shop;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_redirect off;
        proxy_next_upstream error;
    }
}
`;

test("a plain site, exactly", () => {
  expect(renderSite(input)).toBe(
    `# Written by cutover. Changes are lost.
upstream cutover-shop {
${slots}}

server {
    listen 80;
    server_name shop.example.com;
    client_max_body_size 50m;
${proxied}`,
  );
});

test("a site with everything, exactly", () => {
  const config = testConfig({
    static: [
      { url: "/static/", from: "staticfiles", expires: "24h" },
      { url: "/a/b/", from: "b" },
      { url: "/c/", from: "c", expires: "1500ms" },
    ],
    site: { client_max_body_size: "4g", balance: "ip_hash" },
  });
  const listen = ["127.0.0.1:8081", "[::1]:8081"];
  expect(renderSite({ ...input, config, listen, serverNames: ["a.example", "*.b.example"] })).toBe(
    `# Written by cutover. Changes are lost.
upstream cutover-shop {
    ip_hash;
${slots}}

server {
    listen 127.0.0.1:8081;
    listen [::1]:8081;
    server_name a.example *.b.example;
    client_max_body_size 4g;

    location ^~ "/static/" {
        root "/var/lib/cutover/apps/shop";
        try_files /current/static$uri /previous/static$uri =404;
        expires 24h;
    }

    location ^~ "/a/b/" {
        root "/var/lib/cutover/apps/shop";
        try_files /current/static$uri /previous/static$uri =404;
    }

    location ^~ "/c/" {
        root "/var/lib/cutover/apps/shop";
        try_files /current/static$uri /previous/static$uri =404;
        expires 2s;
    }
${proxied}`,
  );
});

test.each([
  ["least_conn", "    least_conn;\n"],
  ["url_hash", "    hash $request_uri consistent;\n"],
])("balance %s", (balance, line) => {
  expect(renderSite({ ...input, config: testConfig({ site: { balance } }) })).toContain(
    `upstream cutover-shop {\n${line}`,
  );
});

test("without a name it is the default server of its addresses", () => {
  const text = renderSite({ ...input, listen: [80, "[::]:80"], serverNames: [] });
  expect(text).toContain("    listen 80 default_server;\n    listen [::]:80 default_server;\n    server_name _;\n");
});

test.each(["/srv/$home", '/srv/"x', "/srv/a\nb", "/srv/a\u007f", "/srv/\\x", "/srv/it's"])(
  "the data directory %j is refused",
  (home) => {
    const config = testConfig({ static: [{ url: "/static/", from: "s" }] });
    expect(() => renderSite({ ...input, config, layout: { home, slots: home } })).toThrow(
      expect.objectContaining({ code: "config_invalid" }),
    );
  },
);

test.each(["$host", "a;b", "a b", "a{", "~^a", '"a"'])("the name %j is refused", (name) => {
  expect(() => renderSite({ ...input, serverNames: [name] })).toThrow(
    expect.objectContaining({ code: "config_invalid" }),
  );
});
