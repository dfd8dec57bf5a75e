import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join, posix } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { socketAddress } from "../../agent/host/net/address.ts";
import { SocketProbe } from "../../agent/host/net/health.ts";
import { renderSite } from "../../agent/host/nginx/site-config.ts";
import { mainUpstream, previewUpstream, renderUpstreams } from "../../agent/host/nginx/upstream-config.ts";
import { appLayout, requestPlaces } from "../../agent/host/store/layout.ts";
import { type Config, configSchema, siteOf } from "../../shared/config.ts";
import { protocolOf } from "../../shared/config-server.ts";
import { readYaml } from "../../shared/yaml-file.ts";
import { embeddedHost } from "../agent/host/embedded-host.ts";
import { eventually, release, scratch, testConfig, testSpec } from "../agent/host/scratch.ts";
import { fullConfigs, type Place, placesIn, withText } from "./full-config.ts";
import { readNginx, shapeOf, wordsOf } from "./nginx-reader.ts";
import { hostileValues } from "./values.ts";

/**
 * Whatever is written in cutover.yml is refused, or arrives exactly as written: a hundred hostile values in every place that
 * takes a text, read back from what nginx, supervisor's programs and the instances' health check really get.
 */

interface Accepted {
  place: Place;
  value: string;
  base: Config;
  config: Config;
}

const name = ({ path, key }: Place) => `${path.join(".")}${key ? " (name)" : ""}`;

const accepted: Accepted[] = [];
const counts = new Map<string, { refused: number; accepted: number }>();
for (const full of Object.values(fullConfigs)) {
  const base = configSchema.parse(full);
  for (const place of placesIn(full)) {
    const count = counts.get(name(place)) ?? { refused: 0, accepted: 0 };
    counts.set(name(place), count);
    for (const value of hostileValues) {
      if (place.key && value === "__proto__") continue;
      const result = configSchema.safeParse(withText(full, place, value));
      if (result.success) accepted.push({ place, value, base, config: result.data });
      count[result.success ? "accepted" : "refused"]++;
    }
  }
}

/** The texts that nginx gets for a configuration. */
function nginxTexts(config: Config): string {
  const slots = new Array<number | null>(60).fill(null);
  const site = siteOf(config);
  const part = { config, slots };
  const context = {
    app: config.app,
    home: "/h",
    logDir: "/l",
    requests: requestPlaces("/d"),
    nginx: { version: [1, 22, 1] as [number, number, number], modules: new Set<never>() },
    front: { trusted: [], proxyProtocol: [] },
    access: undefined,
    passes: false,
    http3: false,
    drainPath: undefined,
  };
  const permitted = { tls: undefined, acmeChallenge: undefined };
  const main = { config, listen: site.listen ?? [80], serverNames: site.server_name ?? [], ...permitted };
  const listen = site.preview?.listen;
  const preview = { config, listen: listen ?? 1, ...permitted };
  const links = protocolOf(config.server) === "http" ? "/h/slots" : "/h/slots-uwsgi";
  return [
    renderSite({ ...context, main, preview }),
    renderUpstreams([
      { name: mainUpstream(config.app), part, links, peers: true },
      { name: previewUpstream(config.app), part, links, peers: false },
    ]),
  ].join("\n");
}

test("every text of cutover.yml is among those that are tried, each with a hundred values", () => {
  const tried = new Set([...counts.keys()].map((path) => path.replace(/ \(name\)$/, "")));
  const wanted = leavesOf(z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" }) as Schema);
  const covers = (pattern: string) => [...tried].some((path) => new RegExp(`^${pattern}(?:\\.\\d+)?$`).test(path));
  expect(wanted.filter((pattern) => !covers(pattern))).toEqual([]);
  expect(hostileValues.length).toBeGreaterThanOrEqual(100);
  const all = [...counts.values()].reduce((sum, count) => sum + count.refused, 0);
  console.log(`${counts.size} places, ${all} values refused, ${accepted.length} accepted and read back`);
});

test("a name that no object keeps is refused, and not lost", () => {
  for (const line of ["env: { __proto__: x }", "site: { add_header: { __proto__: x } }"]) {
    const text = `app: shop\nserver: { kind: gunicorn, app: "shop:app" }\n${line}\n`;
    const result = readYaml(text, configSchema);
    expect(result).toMatchObject({
      kind: "invalid",
      faults: [{ line: 3, message: expect.stringMatching(/^__proto__: /) }],
    });
  }
});

test("nginx gets each accepted value as one word where it belongs, and nothing else changes", () => {
  const bases = new Map<Config, ReturnType<typeof readNginx>>();
  for (const { value, config, ...given } of accepted) {
    if (given.place.path[0] === "app") continue;
    const { place, base } = ofItsKind(given, value);
    const before = bases.get(base) ?? readNginx(nginxTexts(base));
    bases.set(base, before);
    const after = readNginx(nginxTexts(config));
    const where = `${name(place)}: ${JSON.stringify(value).slice(0, 80)}`;
    expect(shapeOf(after), where).toEqual(shapeOf(before));
    const pairs = replacements(place, value);
    const moved = (word: string) => pairs.reduce((text, [from, to]) => text.split(from).join(to), word);
    // Paths lose what means nothing, such as ./ in them and / at their end.
    const pathOf = (word: string) => posix.join(word, ".").replace(/\/$/, "");
    const same = (now = "", wanted: string) =>
      now === wanted || (now.startsWith("/") && pathOf(now) === pathOf(wanted));
    const now = wordsOf(after);
    const changed = wordsOf(before).flatMap((word, index) =>
      now[index] === word || same(now[index], moved(word)) ? [] : [[word, now[index]]],
    );
    expect(changed, where).toEqual([]);
  }
});

/** How many sites one nginx is given. */
const together = 250;

test("the real nginx takes all of them together", () => {
  const dir = scratch();
  const conf = join(dir, "nginx.conf");
  // Addresses are tried one by one by its own reader above; here each site has the same.
  const sites = accepted.filter(({ place }) => !name(place).includes("listen") && place.path[0] !== "app");
  const texts = sites.map(({ config }, index) => {
    const site = { ...siteOf(config), preview: undefined, listen: [4711] };
    return nginxTexts({ ...config, app: `a${index}`, site } as Config)
      .replaceAll("/l/", `${dir}/`)
      .replaceAll("/d/requests/", `${dir}/`);
  });
  const head = `daemon off;\npid ${dir}/pid;\nerror_log ${dir}/log;\nevents {}\nhttp {\nserver_names_hash_bucket_size 512;\nvariables_hash_max_size 65536;\n`;
  // nginx looks for a variable among all others, so the time grows with the square of their number.
  for (let start = 0; start < texts.length; start += together) {
    const some = texts
      .slice(start, start + together)
      .map((text) => text.replace(/listen 1;/g, "listen 127.0.0.1:4799;"));
    writeFileSync(conf, `${head}${some.join("\n")}\n}\n`);
    execFileSync("nginx", ["-t", "-q", "-c", conf, "-p", dir], { stdio: "pipe", maxBuffer: 64 * 1024 ** 2 });
  }
}, 120_000);

test("a program gets its words and its environment exactly, through supervisor and the launcher", async () => {
  const { privileged, embedded } = await embeddedHost();
  await privileged.prepareApp("shop");
  const layout = appLayout(embedded.settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  const dump = join(layout.shared, "dump.json");
  const script = [
    "import json, os, sys, time",
    "words = [os.fsencode(word).decode() for word in sys.argv[2:]]",
    "env = {name.decode(): value.decode() for name, value in os.environb.items()}",
    "with open(sys.argv[1] + '.tmp', 'w') as file: json.dump([words, env], file)",
    "os.rename(sys.argv[1] + '.tmp', sys.argv[1])",
    "time.sleep(600)",
  ].join("\n");
  writeFileSync(join(layout.app(release), "dump.py"), script);
  const placeholder = /\{(?:socket|port|instance|workers)\}/;
  const takes = (path: string) => accepted.filter(({ place }) => name(place) === path).map(({ value }) => value);
  const words = takes("server.command.0").filter((value) => !placeholder.test(value));
  const values = takes("env.ENVNAME");
  expect(words.length).toBeGreaterThan(50);
  expect(values.length).toBeGreaterThan(80);
  const env = Object.fromEntries(values.map((value, index) => [`HOSTILE_${index}`, value]));
  const command = ["/usr/bin/python3", "dump.py", dump, ...words, "{socket}"];
  const config = testConfig({ server: { kind: "command", command, instances: 1 }, env });
  const spec = testSpec(config);
  await privileged.startPrograms(spec);
  onTestFinished(() => privileged.removePrograms("shop", spec.run));
  const seen = () => {
    try {
      return JSON.parse(readFileSync(dump, "utf8")) as [string[], Record<string, string>];
    } catch {
      return undefined;
    }
  };
  await eventually(async () => seen() !== undefined);
  const [gotWords = [], gotEnv = {}] = seen() ?? [];
  expect(gotWords.slice(0, -1)).toEqual(words);
  for (const [key, value] of Object.entries(env)) expect(gotEnv[key], JSON.stringify(value)).toBe(value);
});

test("the health check asks for exactly the path and the host", async () => {
  const dir = scratch();
  const requests: string[] = [];
  const server: Server = createServer((socket) => {
    socket.once("data", (bytes) => {
      requests.push(bytes.toString("latin1"));
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(join(dir, "s"), resolve));
  onTestFinished(() => void server.close());
  const probe = new SocketProbe("0.0.0");
  const instance = { name: "web-0", address: socketAddress(join(dir, "s")), protocol: "http" as const };
  const checks = accepted.filter(({ place }) => place.path[0] === "health");
  expect(checks.length).toBeGreaterThan(0);
  for (const { config } of checks) {
    const { path, host = "" } = config.health;
    expect(await probe.check(instance, { path, host, timeoutMs: 5000 })).toMatchObject({ status: 200 });
    const lines = (requests.at(-1) ?? "").split("\r\n");
    expect(lines[0]).toBe(`GET ${path} HTTP/1.1`);
    expect(lines).toContain(`Host: ${host}`);
  }
});

const fileBases = new Map<Config, Config>();

/** One file has a location of another kind than a folder, so it is compared with another one file. */
function ofItsKind({ place, base }: Pick<Accepted, "place" | "base">, value: string): Pick<Accepted, "place" | "base"> {
  if (!/^static\.\d+\.url$/.test(name(place)) || value.endsWith("/")) return { place, base };
  const text = "/onefile";
  const found = fileBases.get(base) ?? configSchema.parse(withText(base, place, text));
  fileBases.set(base, found);
  return { place: { ...place, text }, base: found };
}

/** What stands for a place in nginx's words: its text; a cookie's or header's name and value stand apart. */
function replacements({ path, text }: Place, value: string): [string, string][] {
  if (path.join(".") !== "site.preview.cookie" && path.join(".") !== "site.preview.header") return [[text, value]];
  const parts = (whole: string) => {
    const [, name = "", rest = ""] = /^(.*?)(?:=|: )(.*)$/.exec(whole) ?? [];
    return [name.toLowerCase().replaceAll("-", "_"), rest];
  };
  const [name = "", rest = ""] = parts(value);
  const [wasName = "", wasRest = ""] = parts(text);
  return [
    [wasName, name],
    [wasRest, rest],
  ];
}

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
}

/** Every place that takes a text, as a pattern of a path. */
function leavesOf(schema: Schema, path: string[] = []): string[] {
  const at = path.join("\\.");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.flatMap((each) => leavesOf(each, path)))];
  if (schema.type === "string" || typeof schema.const === "string") return at === "site" ? [] : [at];
  if (schema.items !== undefined) return leavesOf(schema.items, [...path, "\\d+"]);
  const { properties = {}, additionalProperties } = schema;
  const own = typeof additionalProperties === "object" ? leavesOf(additionalProperties, [...path, ".+"]) : [];
  return [...Object.entries(properties).flatMap(([key, value]) => leavesOf(value, [...path, key])), ...own];
}
