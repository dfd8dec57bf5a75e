import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type RequestListener, request, type Server } from "node:http";
import { request as secureRequest } from "node:https";
import { createServer as createRawServer } from "node:net";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { stringify } from "yaml";
import type { RoutePart } from "../../../../agent/contracts/ports.ts";
import type { Instance } from "../../../../agent/contracts/privileged.ts";
import { embeddedLayout, renderNginxConf } from "../../../../agent/host/embedded/files.ts";
import { childrenOf, processRuns, readPidFile } from "../../../../agent/host/exec/processes.ts";
import { toolPath } from "../../../../agent/host/exec/run-tool.ts";
import { NginxTraffic } from "../../../../agent/host/nginx/traffic.ts";
import { LocalPrivileged } from "../../../../agent/host/privileged.ts";
import { AppsDirectory } from "../../../../agent/host/store/apps-dir.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { launcherFile } from "../../../../agent/host/supervisor/launch-files.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import type { Config } from "../../../../shared/config.ts";
import { protocolOf } from "../../../../shared/config-server.ts";
import { eventually, freePort, scratch, testConfig } from "../scratch.ts";

/** The nginx of this machine, as the code under test finds it. */
export function nginxProgram(): string {
  const found = toolPath
    .split(":")
    .map((directory) => join(directory, "nginx"))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error("no nginx");
  return found;
}

interface HostOptions {
  /** More keys of agent.yml. @param port where the app may listen */
  agent?: (port: number) => object;
  /** More keys for `nginx` in agent.yml than embedded mode writes. */
  nginx?: object;
  /** What becomes of embedded mode's nginx.conf. */
  conf?: (text: string) => string;
  /** The pid file that this nginx.conf names, if it is another one. */
  pidFile?: string;
}

/** A real nginx of one test, with the code that writes its sites, and no supervisord. */
export async function siteHost({
  agent = () => ({}),
  nginx = {},
  conf: change = (text) => text,
  pidFile,
}: HostOptions = {}) {
  const dir = scratch();
  const layout = embeddedLayout(dir);
  for (const made of [layout.apps, layout.data, layout.log, layout.temporary, layout.nginx.confDir]) {
    mkdirSync(made, { recursive: true });
  }
  writeFileSync(layout.nginx.conf, change(renderNginxConf(layout, process.geteuid?.() === 0)));
  const { conf, confDir } = layout.nginx;
  const port = await freePort();
  const settings = agentSettingsSchema.parse({
    ...agent(port),
    data: layout.data,
    nginx: { conf, conf_dir: confDir, log_dir: layout.log, ...nginx },
  });
  const apps = new AppsDirectory(layout.apps);
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: true });
  const traffic = new NginxTraffic(settings.data, privileged);
  const { home } = appLayout(settings.data, "shop");
  mkdirSync(home, { recursive: true });

  /** Writes apps/shop.yml: it may listen on `port` unless something else stands in it. */
  const allow = (keys: object = {}): void =>
    writeFileSync(join(layout.apps, "shop.yml"), stringify({ listen: [`127.0.0.1:${port}`], ...keys }));
  allow();
  await startNginx(pidFile ?? layout.nginx.pidFile, conf, settings.nginx);

  return {
    dir,
    port,
    home,
    settings,
    privileged,
    traffic,
    allow,
    log: (name: string) => join(layout.log, name),
    /** A file of a release, with the links that lead to it. */
    file(path: string, text: string | Buffer): void {
      mkdirSync(dirname(join(home, path)), { recursive: true });
      writeFileSync(join(home, path), text);
    },
    link(name: "current" | "canary" | "previous" | "staged", release: string): void {
      rmSync(join(home, name), { force: true });
      symlinkSync(join("releases", release), join(home, name));
    },
    /** Sends all visitors of a site to these instances, and those of its preview to others. */
    async serve(parts: object, instances: Instance[], preview?: { parts: object; instances: Instance[] }) {
      const main = part(testConfig(parts), instances);
      const shown = preview === undefined ? null : part(testConfig(preview.parts), preview.instances);
      return traffic.route("shop", { main, preview: shown });
    },
  };
}

export type SiteHost = Awaited<ReturnType<typeof siteHost>>;

function part(config: Config, instances: Instance[]): RoutePart {
  const speaking = instances.map((instance) => ({ ...instance, protocol: protocolOf(config.server) }));
  return { config, shares: [{ run: "r", instances: speaking, slots: 60 }] };
}

export async function startNginx(
  pidFile: string,
  conf: string,
  { binary, prefix }: { binary: string; prefix?: string | undefined },
) {
  const places = prefix === undefined ? [] : ["-p", prefix];
  const nginx = spawn(binary, ["-c", conf, "-e", "stderr", ...places, "-g", "daemon off;"], {
    env: { PATH: toolPath },
    stdio: "ignore",
  });
  onTestFinished(async () => {
    if (nginx.exitCode !== null || nginx.signalCode !== null) return;
    const gone = once(nginx, "exit");
    nginx.kill("SIGTERM");
    await gone;
  });
  let workers = 0;
  await eventually(async () => {
    const pid = await readPidFile(pidFile);
    if (pid === undefined || pid !== nginx.pid || !(await processRuns(pid))) return false;
    // It starts them one after the other: all are there if no more have come.
    const before = workers;
    workers = (await childrenOf(pid)).length;
    return workers > 0 && workers === before;
  });
}

/** An HTTP server on a unix socket that ends with the test. */
export async function backend(
  answer: RequestListener,
  path = join(scratch(), "web-0.sock"),
): Promise<Instance & { server: Server }> {
  const server = createServer(answer).listen(path);
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { name: "web-0", address: `unix:${path}`, protocol: "http", server };
}

/** A server that speaks uwsgi on a unix socket: it answers with what it was sent, as JSON. */
export async function uwsgiBackend({ upgrade = false } = {}): Promise<Instance> {
  const path = join(scratch(), "web-0.sock");
  const server = createRawServer((socket) => {
    let got = Buffer.alloc(0);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      const request = uwsgiRequest(got);
      if (request === undefined) return;
      const { vars, body } = request;
      if (upgrade) {
        socket.removeAllListeners("data");
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        socket.write(body);
        socket.pipe(socket);
        return;
      }
      if (body.length < Number(vars.CONTENT_LENGTH ?? "0")) return;
      const text = JSON.stringify({ ...vars, body: body.toString() });
      socket.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n${text}`);
    });
  }).listen(path);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { name: "web-0", address: `unix:${path}`, protocol: "uwsgi" };
}

/** The variables of a uwsgi request, and what has come of its body; undefined until all variables have come. */
function uwsgiRequest(got: Buffer): { vars: Record<string, string>; body: Buffer } | undefined {
  if (got.length < 4 || got.length < 4 + got.readUInt16LE(1)) return undefined;
  const end = 4 + got.readUInt16LE(1);
  const vars: Record<string, string> = {};
  for (let at = 4; at < end; ) {
    const [key, value] = [0, 1].map(() => {
      const length = got.readUInt16LE(at);
      at += 2 + length;
      return got.toString("utf8", at - length, at);
    });
    vars[key ?? ""] = value ?? "";
  }
  return { vars, body: got.subarray(end) };
}

/** An instance that nobody is. */
export function nobody(): Instance {
  return { name: "web-0", address: `unix:${join(scratch(), "none.sock")}`, protocol: "http" };
}

/** Answers with a name, and says in headers what it was sent. */
export const saying =
  (name: string): RequestListener =>
  ({ headers, url }, response) => {
    response.setHeader("x-seen", JSON.stringify({ ...headers, url }));
    response.end(name);
  };

/** What `saying` says it was sent. */
export const seen = (answer: { headers: Record<string, unknown> }) => JSON.parse(String(answer.headers["x-seen"]));

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
}

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Of this machine: 127.1.2.3 and so on. */
  from?: string;
  /** By TLS, whatever the certificate. */
  secure?: boolean;
}

/** One request on a connection of its own. */
export async function ask(
  port: number,
  path = "/",
  { method, headers, body, from, secure }: Asked = {},
): Promise<Answer> {
  const options = {
    host: "127.0.0.1",
    port,
    path,
    agent: false,
    method: method ?? "GET",
    headers: headers ?? {},
    ...(from !== undefined && { localAddress: from }),
  };
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const call = (secure === true ? secureRequest : request)({ ...options, rejectUnauthorized: false }, (response) => {
    const parts: Buffer[] = [];
    response.on("data", (chunk: Buffer) => parts.push(chunk));
    response.on("error", reject);
    response.on("end", () => {
      const whole = Buffer.concat(parts);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole, text: whole.toString() });
    });
  });
  call.on("error", reject);
  call.end(body);
  return promise;
}
