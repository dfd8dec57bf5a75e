import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { childrenOf, commandLine } from "../../agent/host/exec/processes.ts";
import { renderUpstreams } from "../../agent/host/nginx/upstream-config.ts";
import { appSettingsSchema } from "../../agent/settings.ts";
import { siteHost } from "../agent/host/nginx/site-host.ts";
import { freePort, testConfig } from "../agent/host/scratch.ts";
import { NginxDaemon, refusedMark } from "./nginx.ts";
import { Chances } from "./random.ts";
import { siteText } from "./site-text.ts";
import { Timeline } from "./timeline.ts";

/** The same short histories on the simulated nginx and on a real one: what is seen must be the same. */
interface Served {
  /** The app's files send visitors to the first or to the second instance. */
  write(to: 1 | 2): void;
  /** Another site's file is wrong, or is no longer. */
  break(broken: boolean): void;
  hup(): void;
  /** Which instance answers a new visitor. */
  ask(): Promise<number>;
  /** Somebody stays connected until the result is called. */
  stay(): Promise<() => void>;
  workers(): Promise<{ serving: number; old: number }>;
  complains(): Promise<boolean>;
  wait(ms: number): Promise<void>;
}

const upstreamTo = (port: number) =>
  renderUpstreams([
    {
      name: "shop",
      part: { config: testConfig(), slots: new Array<number>(60).fill(port) },
      links: "/nowhere",
      peers: true,
    },
  ]);

function simulated(): Served {
  const chances = new Chances(1);
  const timeline = new Timeline(chances.of("timeline"));
  let pid = 100;
  const nginx = new NginxDaemon({ timeline, chances, newPid: () => ++pid, trace: () => {}, onMoved: () => {} });
  const files = nginx.appFiles("shop");
  const settings = { ...appSettingsSchema.parse({}), app: "shop", file: "/etc/cutover/apps/shop.yml" };
  files.site.present = `${siteText({ config: testConfig(), slots: [] }, settings)} | `;
  nginx.boot();
  return {
    write: (to) => {
      files.upstream.present = upstreamTo(to);
    },
    break: (broken) => {
      nginx.foreignBroken = broken;
    },
    hup: () => nginx.reload(),
    ask: async () => Number(nginx.accepting(0)?.upstreams.get("shop")?.main[0]?.split(":")[1] ?? 0),
    stay: async () => {
      const worker = nginx.accepting(0);
      if (worker !== undefined) worker.busyUntil = Number.POSITIVE_INFINITY;
      return () => {
        if (worker !== undefined) worker.busyUntil = 0;
      };
    },
    workers: async () => {
      const all = nginx.living();
      return {
        serving: all.filter(({ serving }) => serving).length,
        old: all.filter(({ serving }) => !serving).length,
      };
    },
    complains: async () => nginx.log.some((line) => line.includes("[emerg]") && !line.includes(refusedMark)),
    wait: (ms) => timeline.advance(timeline.elapsed + ms),
  };
}

/** An instance that says its number; one that is asked for /stay does not end its answer. */
async function instance(number: number): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", (bytes) => {
      const stays = bytes.toString("latin1").startsWith("GET /stay");
      socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${number}`);
      if (!stays) socket.end();
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return port;
}

async function real(): Promise<Served> {
  const host = await siteHost({ conf: (text) => text.replace(/worker_processes [^;]+;/, "worker_processes 2;") });
  const { conf_dir: confDir, conf = "" } = host.settings.nginx;
  const ports = [await instance(1), await instance(2)];
  writeFileSync(
    join(confDir, "cutover-shop.conf"),
    `server { listen 127.0.0.1:${host.port}; location / { proxy_pass http://shop; proxy_buffering off; } }\n`,
  );
  const pidFile = /^pid (.+);$/m.exec(readFileSync(conf, "utf8"))?.[1]?.replaceAll('"', "") ?? "";
  const master = () => Number(readFileSync(pidFile, "utf8"));
  const errorLog = /error_log "?([^";\s]+)/.exec(readFileSync(conf, "utf8"))?.[1] ?? "";
  const foreign = join(confDir, "foreign.conf");
  const open = (path: string, onData: (text: string) => void) =>
    get({ port: host.port, path, agent: false }, (response) => response.on("data", (bytes) => onData(String(bytes))));
  return {
    write: (to) => writeFileSync(join(confDir, "cutover-shop.upstream.conf"), upstreamTo(ports[to - 1] ?? 0)),
    break: (broken) => {
      if (broken) writeFileSync(foreign, "nonsense on;\n");
      else rmSync(foreign);
    },
    hup: () => void process.kill(master(), "SIGHUP"),
    ask: () =>
      new Promise((resolve) => {
        open("/", (text) => resolve(Number(text))).on("error", () => resolve(0));
      }),
    stay: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const request = open("/stay", () => resolve());
      request.on("error", () => resolve());
      await promise;
      return () => void request.destroy();
    },
    workers: async () => {
      const titles = await Promise.all((await childrenOf(master())).map(commandLine));
      const workers = titles.filter((title) => title?.startsWith("nginx: worker process"));
      const old = workers.filter((title) => title?.endsWith("is shutting down")).length;
      return { serving: workers.length - old, old };
    },
    complains: async () => readFileSync(errorLog, "utf8").includes("[emerg]"),
    wait: (ms) => sleep(ms),
  };
}

const settledMs = 1500;

const histories: Record<string, (host: Served) => Promise<unknown>> = {
  "a reload takes a while, and then every new visitor goes to the new instance": async (host) => {
    host.write(1);
    host.hup();
    await host.wait(settledMs);
    const before = await host.ask();
    host.write(2);
    const written = await host.ask();
    host.hup();
    await host.wait(settledMs);
    return { before, written, after: await host.ask(), workers: await host.workers() };
  },
  "an old worker lives as long as its connection": async (host) => {
    host.write(1);
    host.hup();
    await host.wait(settledMs);
    const leave = await host.stay();
    host.write(2);
    host.hup();
    await host.wait(settledMs);
    const meanwhile = await host.workers();
    const answers = await host.ask();
    leave();
    await host.wait(settledMs);
    return { meanwhile, answers, after: await host.workers() };
  },
  "another's broken file: the master complains and goes on as it was": async (host) => {
    host.write(1);
    host.hup();
    await host.wait(settledMs);
    host.break(true);
    host.write(2);
    host.hup();
    await host.wait(settledMs);
    const broken = { answers: await host.ask(), complains: await host.complains(), workers: await host.workers() };
    host.break(false);
    host.hup();
    await host.wait(settledMs);
    return { broken, mended: await host.ask() };
  },
  "of two reloads at once the last text counts": async (host) => {
    host.write(1);
    host.hup();
    await host.wait(settledMs);
    host.hup();
    host.write(2);
    host.hup();
    await host.wait(settledMs * 2);
    return { answers: await host.ask(), workers: await host.workers() };
  },
};

test.each(Object.entries(histories))(
  "nginx: %s",
  async (_, history) => {
    const [one, other] = await Promise.all([history(simulated()), real().then(history)]);
    expect(one).toEqual(other);
  },
  40_000,
);
