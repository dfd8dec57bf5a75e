import { expect, test } from "vitest";
import { renderSite } from "../../../../agent/host/nginx/site-config.ts";
import { testConfig } from "../scratch.ts";
import {
  closed,
  input,
  main,
  maintenance,
  nothingOwn,
  requestFormat,
  requestLines,
  unavailable,
} from "./site-input.ts";

const everything = {
  static: [
    { url: "/static/", from: "s", expires: "24h", gzip_static: true },
    { url: "/c/", from: "c", expires: "1500ms", immutable: false },
  ],
  shared: [{ url: "/media/", from: "./up loads/", expires: "max" }],
  site: {
    client_max_body_size: "4g",
    client_body_timeout: "10s",
    proxy_connect_timeout: "1s",
    proxy_read_timeout: "2m",
    proxy_send_timeout: "3s",
    proxy_buffering: false,
    proxy_request_buffering: false,
    proxy_intercept_errors: true,
    upgrade: true,
    gzip: true,
    add_header: { "X-A": `it's "a\\n"; } # %` },
    error_page: `errors/it's "50x".html`,
    access_log: false,
    preview: { listen: "127.0.0.1:12001", cookie: "preview=blue", header: "X-Preview: blue" },
  },
};

test("a site with everything, exactly", () => {
  const tls = { certificate: "/etc/ssl/shop.pem", key: "/etc/ssl/shop.key" };
  const text = renderSite({
    ...input,
    main: main(everything, {
      listen: [80, "[::]:80", "8443 ssl"],
      serverNames: ["a.example", "*.b.example"],
      tls,
      acmeChallenge: "/var/www/letsencrypt",
    }),
    preview: { config: testConfig(everything), tls },
  });
  const header = `add_header X-A "it's \\"a\\\\n\\"; } # %" always;`;
  const gzip = `    gzip on;
    gzip_min_length 1k;
    gzip_vary on;
    gzip_proxied any;
    gzip_types text/plain text/css text/javascript text/xml application/javascript application/json application/manifest+json application/xml application/rss+xml image/svg+xml;
`;
  const home = "/var/lib/cutover/apps/shop";
  const inRelease = (release: string, below: string) => `root "${home}/${release}${below}";
        disable_symlinks on "from=${home}/${release}";`;
  const forGood = `${header}
        add_header Cache-Control "public, max-age=31536000, immutable";`;
  const tries = (index: number, turn: number, count: number, kind = "") =>
    `try_files $uri ${turn < count ? `@cutover_static_${index}_${turn}${kind}` : "=404"};`;
  const files = ([first = "", ...others]: string[]) => {
    const count = others.length + 1;
    const next = others.map((release, before) => ({ release, turn: before + 1 }));
    return `    location ^~ "/static/" {
        ${inRelease(first, "/static")}
        gzip_static on;
        ${tries(0, 1, count)}
        expires 24h;

        location ~ "[/._-][0-9a-f]{12,}(?:\\.[A-Za-z0-9]+){1,2}$" {
            ${tries(0, 1, count, "_hashed")}
            expires off;
            ${forGood.replace("\n", "\n    ")}
        }
    }
${next
  .map(
    ({ release, turn }) => `
    location @cutover_static_0_${turn} {
        ${inRelease(release, "/static")}
        gzip_static on;
        ${tries(0, turn + 1, count)}
        expires 24h;
    }

    location @cutover_static_0_${turn}_hashed {
        ${inRelease(release, "/static")}
        gzip_static on;
        ${tries(0, turn + 1, count, "_hashed")}
        ${forGood}
    }
`,
  )
  .join("")}
    location ^~ "/c/" {
        ${inRelease(first, "/static")}
        ${tries(1, 1, count)}
        expires 2s;
    }
${next
  .map(
    ({ release, turn }) => `
    location @cutover_static_1_${turn} {
        ${inRelease(release, "/static")}
        ${tries(1, turn + 1, count)}
        expires 2s;
    }
`,
  )
  .join("")}
    location ^~ "/media/" {
        alias "${home}/shared/up loads/";
        disable_symlinks if_not_owner "from=${home}/shared/";
        expires max;
    }
`;
  };
  const proxied = (upstream: string) => `        proxy_pass http://${upstream};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
${nothingOwn}        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $cutover_shop_conn;
        proxy_redirect off;
        proxy_next_upstream error;
        proxy_connect_timeout 1s;
        proxy_read_timeout 2m;
        proxy_send_timeout 3s;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_intercept_errors on;
    }
`;
  const errorFile = (...releases: string[]) => `${releases
    .map(
      (release, turn) => `    location ${turn === 0 ? "= /cutover-unavailable" : `@cutover_page_${turn}`} {
${turn === 0 ? "        internal;\n" : ""}        ${inRelease(release, "")}
        default_type text/html;
        ${header}
        add_header Retry-After 30 always;
        try_files "/pages/errors/it's \\"50x\\".html" "/app/errors/it's \\"50x\\".html" ${turn + 1 < releases.length ? `@cutover_page_${turn + 1}` : "@cutover_unavailable"};
    }

`,
    )
    .join("")}    location @cutover_unavailable {
        types { }
        default_type text/html;
        ${header}
        add_header Retry-After 30 always;
`;
  const errors = "error_page 500 501 502 503 504 505 506 507 508 510 511 /cutover-unavailable;";
  expect(text).toBe(`# Written by cutover. Changes are lost.
map $http_upgrade $cutover_shop_conn {
    default upgrade;
    "" close;
}

map $http_x_preview $cutover_shop_via {
    default shop;
    "~^blue$" shop.preview;
}

map $cookie_preview $cutover_shop_to {
    default $cutover_shop_via;
    "~^blue$" shop.preview;
}

map $cutover_shop_to $cutover_shop_files {
    default current;
    "shop.preview" staged;
}

${requestFormat}
server {
    listen 80;
    listen [::]:80;
    server_name a.example *.b.example;
    access_log off;
    error_log "/var/log/nginx/cutover-shop.error.log";
    server_tokens off;
    ${header}

    location ^~ "/.well-known/acme-challenge/" {
        root "/var/www/letsencrypt";
        disable_symlinks if_not_owner "from=/var/www/letsencrypt";
        default_type text/plain;
        try_files $uri =404;
    }

    location / {
        return 301 https://$host:8443$request_uri;
    }
}

server {
    listen 8443 ssl http2;
    server_name a.example *.b.example;
    ssl_certificate "/etc/ssl/shop.pem";
    ssl_certificate_key "/etc/ssl/shop.key";
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:cutover-shop:2m;
    ssl_session_timeout 1d;
    error_log "/var/log/nginx/cutover-shop.error.log";
    server_tokens off;
    client_max_body_size 4g;
    client_body_timeout 10s;
    open_file_cache off;
${gzip}    ${header}
${requestLines({ preview: true })}${maintenance}    ${errors}

${files(["$cutover_shop_files", "current", "canary", "previous"])}
    location / {
        if ($cutover_shop_shut) {
            return 503;
        }
${proxied("$cutover_shop_to")}
${errorFile("$cutover_shop_files", "current", "canary", "previous")}        if ($cutover_shop_shut) {
            return 503 ${closed};
        }
        return 503 ${unavailable};
    }
}

server {
    listen 127.0.0.1:12001 default_server;
    server_name _;
    access_log off;
    error_log "/var/log/nginx/cutover-shop.preview.error.log";
    server_tokens off;
    client_max_body_size 4g;
    client_body_timeout 10s;
    open_file_cache off;
${gzip}    ${header}
    ${errors}

${files(["staged", "current"])}
    location / {
${proxied("shop.preview")}
${errorFile("staged", "current")}        return 503 ${unavailable};
    }
}
`);
});
