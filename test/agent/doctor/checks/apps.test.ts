import { appFacts, appSettings, entry, env, healthyHost } from "../facts.ts";
import { app, host, root, testTraps } from "./traps.ts";

testTraps([
  [
    "H10 a process of the app's user that listens to the network",
    app({ outside: ["0.0.0.0:9000", "[::]:9001"] }),
    "listen-outside",
    "warning",
    /of shop, the user of shop, listens to the network.*: 0\.0\.0\.0:9000, \[::\]:9001/,
    /listen_outside: refuse/,
  ],
  [
    "settings of an app with a fault",
    app({ settings: undefined, faults: ["shop.yml:3:1: usr: unknown key"] }),
    "app-settings",
    "error",
    /shop\.yml:3:1: usr/,
    /Correct/,
  ],
  [
    "trust in an issuer that agent.yml does not name",
    app({
      settings: appSettings({
        trust: [
          { github: { repository: "acme/shop", any_ref: true, issuer: "https://ghes.example.com/_services/token" } },
        ],
      }),
    }),
    "trusted-issuers",
    "error",
    /acme\/shop at https:\/\/ghes\.example\.com\/_services\/token/,
    /`github` in agent\.yml/,
  ],
  [
    "trust in the first issuer when agent.yml has none",
    healthyHost({
      settings: { ...host.settings, github: [] },
      apps: [appFacts({ settings: appSettings({ trust: [{ github: { repository: "acme/shop", any_ref: true } }] }) })],
    }),
    "trusted-issuers",
    "error",
    /the first issuer/,
    /`github` in agent\.yml/,
  ],
  [
    "T9 an app's user whose primary group others have",
    app({ group: { name: "nogroup", members: ["_apt", "nobody", "a", "b", "c", "d"] } }),
    "app-groups",
    "error",
    /primary group of shop is nogroup, .*_apt, nobody, a, b, c and 1 more/,
    /groupadd --force --system shop && usermod --gid shop shop/,
  ],
  [
    "an app's user that does not exist",
    app({ user: undefined }),
    "app-users",
    "error",
    /no user shop/,
    /useradd --system/,
  ],
  [
    "an app that runs as root",
    app({ user: root, settings: appSettings({ user: "root" }) }),
    "app-users",
    "error",
    /would run as root/,
    /useradd/,
  ],
  [
    "an app that runs as nginx",
    app({ user: { name: "www-data", uid: 33, gids: [33] } }),
    "app-users",
    "warning",
    /user of nginx's workers/,
    /useradd/,
  ],
  [
    "ports of two apps that meet",
    healthyHost({
      apps: [
        appFacts({ settings: appSettings({ ports: "9000-9099" }) }),
        appFacts({ app: "blog", file: "/blog.yml", settings: appSettings({ ports: ["8000-8001", "9099-9200"] }) }),
      ],
    }),
    "app-ports",
    "error",
    /9099-9200 of blog are also those of shop \(.*shop\.yml\)/,
    /`ports` in \/blog\.yml/,
  ],
  [
    "ports of an app that are a site's",
    app({ settings: appSettings({ ports: "9000-9099", listen: ["127.0.0.1:9001"] }) }),
    "app-ports",
    "error",
    /also those of the site of shop/,
    /a range of its own/,
  ],
  [
    "ports that the kernel gives away",
    app({ settings: appSettings({ ports: "40000-40099" }) }),
    "app-ports",
    "warning",
    /outgoing connections \(32768-60999\)/,
    /below 32768/,
  ],
  [
    "secrets that others may read",
    app({ env: env({ path: "/e.env", named: false, entry: entry("/e.env", 0o100640) }) }),
    "secrets",
    "error",
    /0640/,
    /chmod 0600 \/e\.env/,
  ],
  [
    "secrets that are named and do not exist",
    app({ env: env({ path: "/e.env", named: true, entry: undefined }) }),
    "secrets",
    "error",
    /names \/e\.env as env_file, but that file does not exist/,
    /cutover env set shop/,
  ],
  [
    "a line of secrets that says something else",
    app({ env: env({ path: "/e.env", faults: [{ line: 3, message: "B is not set" }] }) }),
    "secrets",
    "warning",
    /e\.env:3: B is not set\./,
    /cutover env set/,
  ],
  [
    "a webhook's file that cannot be read",
    healthyHost({
      webhookFiles: [
        {
          named: "webhooks[0].url_file in agent.yml",
          path: "/e/chat",
          problem: "cannot be read: ENOENT",
          entry: undefined,
        },
      ],
    }),
    "webhooks",
    "warning",
    /\/e\/chat cannot be read: ENOENT \(webhooks\[0\]\.url_file in agent\.yml\)/,
    /0600/,
  ],
  [
    "a webhook's secret that others may read",
    healthyHost({
      webhookFiles: [
        {
          named: "webhooks[1].secret_file in apps/shop.yml",
          path: "/e/secret",
          problem: undefined,
          entry: entry("/e/secret", 0o100644),
        },
      ],
    }),
    "webhooks",
    "error",
    /\/e\/secret holds a secret.*0644/,
    /chmod 0600 \/e\/secret/,
  ],
  [
    "a directory of logs that does not exist",
    healthyHost({
      directories: [
        { named: "nginx.log_dir in agent.yml", path: "/l", purpose: "nginx refuses it.", entry: undefined },
      ],
    }),
    "directories",
    "error",
    /\/l \(nginx\.log_dir in agent\.yml\) does not exist/,
    /mkdir -p \/l/,
  ],
  [
    "a directory for ACME that is a file",
    healthyHost({
      directories: [{ named: "acme_challenge", path: "/a", purpose: "No renewal.", entry: entry("/a", 0o100644) }],
    }),
    "directories",
    "error",
    /\/a \(acme_challenge\) is not a directory/,
    /mkdir -p \/a/,
  ],
  [
    "secrets of nobody",
    healthyHost({ strayEnvFiles: ["/etc/cutover/apps/old.env"] }),
    "secrets",
    "warning",
    /old\.env/,
    /Remove/,
  ],
]);
