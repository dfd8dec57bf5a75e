import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { appFacts, appSettings, configuration, liveConfig } from "../facts.ts";
import { nginx, testTraps } from "./traps.ts";

testTraps([
  [
    "a name that is too long",
    nginx({
      test: {
        ok: false,
        output:
          "nginx: [emerg] could not build server_names_hash, you should increase server_names_hash_bucket_size: 64\n",
      },
      configuration: [],
    }),
    "nginx-runs",
    "error",
    /could not build server_names_hash/,
    /server_names_hash_bucket_size 128;/,
  ],
  [
    "HTTP/3 whose packets come to any worker",
    {
      ...nginx({
        configuration: configuration(
          "include conf.d/*.conf; server { listen 443 quic; } server { listen 8443 quic reuseport; } server { listen 8443 quic; }",
          "worker_processes auto;",
        ),
      }),
      settings: agentSettingsSchema.parse({ nginx: { http3: true } }),
      processors: 4,
    },
    "nginx-tuning",
    "warning",
    /HTTP\/3 on 443 has no `reuseport`/,
    /listen 443 quic reuseport;/,
  ],
  [
    "HTTP/3 with an nginx that has none",
    {
      ...nginx({ built: "configure arguments: --with-http_ssl_module" }),
      apps: [appFacts({ settings: appSettings({ listen: ["443 ssl"], tls: { certificate: "/c", key: "/k" } }) })],
      settings: agentSettingsSchema.parse({ nginx: { http3: true } }),
    },
    "nginx-modules",
    "error",
    /without ngx_http_v3_module.*shop/,
    /Install an nginx/,
  ],
  [
    "HTTP/3, and an app whose deploys reload nginx",
    {
      ...nginx({ built: "configure arguments: --with-http_v3_module" }),
      apps: [appFacts({ live: liveConfig({ server: { kind: "gunicorn", app: "a:b", bind: "port" } }) })],
      settings: agentSettingsSchema.parse({ nginx: { http3: true } }),
    },
    "nginx-tuning",
    "warning",
    /shop has `bind: port`/,
    /bind: socket/,
  ],
]);
