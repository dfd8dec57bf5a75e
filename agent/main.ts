#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=1
// The agent shares small hosts with the apps, also while a bundle of a gigabyte streams through: a small young generation
// is collected often, which frees the buffers that passed, and few arenas keep little of what was freed. Neither costs time.
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { asCutoverError } from "../shared/errors.ts";
import { Deployments } from "./deploy/deployments.ts";
import { armFaults } from "./effects.ts";
import { HelperClient } from "./helper/client.ts";
import { RemoteEnvironments, RemoteLogs, RemotePrivileged, RemoteReleases } from "./helper/remote.ts";
import { AppsDirectory, readAgentSettings } from "./host/apps-dir.ts";
import { AuditFiles } from "./host/audit-files.ts";
import { freeBytes, ReleaseDirectories } from "./host/bundle/releases.ts";
import { systemClock } from "./host/clock.ts";
import { startEmbedded } from "./host/embedded/embedded.ts";
import { EventFilesOnDisk } from "./host/event-files.ts";
import { SocketProbe } from "./host/health.ts";
import { IssuerKeyFiles } from "./host/issuer-keys.ts";
import { LearntRepositoriesFile } from "./host/learnt-repositories.ts";
import { MaintenanceFiles } from "./host/maintenance.ts";
import { LocalPrivileged } from "./host/privileged.ts";
import { ProcNetConnections } from "./host/proc-net.ts";
import { PythonEnvironments } from "./host/python/python.ts";
import { SpentTokensFile } from "./host/spent-tokens.ts";
import { StateFiles } from "./host/state-file.ts";
import { SupervisorLogs } from "./host/supervisor/instance-logs.ts";
import { launcherFile } from "./host/supervisor/launcher.ts";
import { readTlsPair, tlsPaths, watchTlsFiles } from "./host/tls-files.ts";
import { NginxTraffic } from "./host/traffic.ts";
import { AnotherAgent, startAdminServer } from "./http/admin-server.ts";
import { createHttpApp } from "./http/app.ts";
import { localOperator, tokenAuthorizer } from "./http/auth/authorize.ts";
import { TrustBook } from "./http/auth/trust-view.ts";
import type { HttpApp } from "./http/call.ts";
import { CallLimiter } from "./http/call-limits.ts";
import { createMetricsApp } from "./http/metrics.ts";
import { type NetworkServer, startServer } from "./http/server.ts";
import { createLogger, type Logger } from "./logger.ts";
import { AuditWithRefusals, endOf } from "./observe/audited.ts";
import { Metrics } from "./observe/metrics.ts";
import { ObservedEvents } from "./observe/observed-events.ts";
import { Webhooks } from "./observe/webhooks.ts";
import type { EventFiles, Ports } from "./ports.ts";
import { ServiceManager } from "./service-manager.ts";
import { type AgentSettings, allowedAddresses } from "./settings.ts";

const { version } = packageJson;
/** Calls that still run at shut-down, such as followers of events, get this long. */
const graceMs = 2000;
/** How long deployments have to reach a safe point. One that does not is taken up as if the agent had been killed. */
const safePointMs = 7500;

interface Options {
  config: string;
  embedded?: string;
  listen?: string;
}

/** Where the agent's files are, and what ends with it: nothing on a host, nginx and supervisord in embedded mode. */
interface Host {
  settings: AgentSettings;
  appsDir: string;
  embedded: boolean;
  stop(): Promise<void>;
}

async function openHost({ config, embedded, listen }: Options): Promise<Host> {
  if (embedded !== undefined) {
    const host = await startEmbedded(resolve(embedded), listen === undefined ? {} : { listen });
    return { ...host, embedded: true };
  }
  const settings = await readAgentSettings(config);
  return { settings, appsDir: join(dirname(resolve(config)), "apps"), embedded: false, stop: async () => {} };
}

/** What only root may do, or what the agent itself may, where it is root or a host of its own. */
function openBorder({ settings, embedded, appsDir }: Host) {
  const { data, limits, supervisor } = settings;
  const apps = new AppsDirectory(appsDir);
  if (!embedded && process.geteuid?.() !== 0) {
    const helper = new HelperClient({ path: settings.helper, version });
    const privileged = new RemotePrivileged(helper);
    return {
      apps,
      privileged,
      environments: new RemoteEnvironments(helper),
      releases: new RemoteReleases({ data, limits }, helper),
      logs: new RemoteLogs(data, supervisor.conf_dir, helper),
      prepare: () => privileged.prepareHost(),
      close: () => helper.close(),
    };
  }
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: embedded });
  return {
    apps,
    privileged,
    environments: new PythonEnvironments({
      data,
      pythonPath: settings.python_path,
      jobs: limits.jobs,
      runStep: privileged.stepRunner(),
      trees: privileged.buildTrees(),
    }),
    releases: new ReleaseDirectories({ data, limits }),
    logs: new SupervisorLogs(data, supervisor.conf_dir),
    prepare: async () => {},
    close: () => {},
  };
}

function createPorts({ settings }: Host, border: ReturnType<typeof openBorder>, events: EventFiles): Ports {
  const { data } = settings;
  const { apps, privileged, environments, releases, logs } = border;
  return {
    ...{ apps, privileged, environments, releases, logs, events },
    clock: systemClock,
    states: new StateFiles(data),
    traffic: new NginxTraffic(data, privileged),
    probe: new SocketProbe(version),
    connections: new ProcNetConnections(),
    maintenance: new MaintenanceFiles(data),
  };
}

async function run(options: Options): Promise<void> {
  const { CUTOVER_FAULTS: faults } = process.env;
  if (faults !== undefined) armFaults(faults, { embedded: options.embedded !== undefined });
  const host = await openHost(options);
  let another = false;
  try {
    await serve(host);
  } catch (thrown) {
    another = thrown instanceof AnotherAgent;
    throw thrown;
  } finally {
    // The nginx and supervisord of an embedded agent that was there before are not this one's to stop.
    if (!another) await host.stop();
  }
}

async function serve(host: Host): Promise<void> {
  const { settings } = host;
  const logger = createLogger(settings.log_level);
  const events = new ObservedEvents(new EventFilesOnDisk(settings.data));
  const border = openBorder(host);
  await border.prepare();
  const ports = createPorts(host, border, events);
  const service = new Deployments({ ports, log: logger, onCut: (app, requests) => metrics.cut(app, requests) });
  const manager = new ServiceManager(process.env, (err) => logger.warn({ err }, "systemd could not be told"));
  const { metrics, audit, closeObservers } = observe(host, { events, service, apps: ports.apps, logger });
  const common = { service, logger, version, audit };
  const { github, limits, data } = settings;
  const learnt = new LearntRepositoriesFile(data);
  const trust = new TrustBook(ports.apps, learnt, github);

  // Heard from the very beginning: what is taken up again may be asked to stop at once.
  const asked = nextSignal();
  // First, since it refuses to start beside another agent: nothing may be recovered by two.
  const local = createHttpApp({
    ...common,
    authorize: localOperator(),
    admin: true,
    trust,
    metrics: () => metrics.render(),
  });
  const admin = await startAdminServer({ path: settings.socket, app: local });
  const servers = [admin];
  const spent = await SpentTokensFile.open(join(settings.data, "spent-tokens"));
  try {
    await Promise.race([service.recoverAll(), asked]);
    const authorize = tokenAuthorizer({
      apps: ports.apps,
      spent,
      names: names(settings),
      github: { issuers: github, learnt, keys: issuerKeys(settings, logger) },
      logger,
    });
    const watched = settings.metrics === true ? { metrics: () => metrics.render() } : {};
    const app = createHttpApp({ ...common, authorize, ...watched, limiter: new CallLimiter({ limits }) });
    const { server, unwatch } = await listenOn(settings, { app, logger, metrics });
    using _watch = unwatch;
    servers.unshift(server);
    if (typeof settings.metrics === "string") {
      const app = createMetricsApp({ logger, metrics: () => metrics.render() });
      servers.push(await startServer(address(settings.metrics), { app }));
    }
    logger.info({ version, listen: server.address, names: names(settings), socket: admin.address }, "ready");
    void manager.ready();
    const signal = await asked;
    logger.info({ signal }, "stopping");
  } finally {
    await manager.stopping();
    const closed = servers.map((server) => server.close(graceMs));
    const patience = sleep(safePointMs, "late", { ref: false });
    if ((await Promise.race([service.close(), patience])) === "late") logger.warn("a deployment is left in the middle");
    await Promise.all(closed);
    await closeObservers();
    await spent.close();
    border.close();
    logger.info("stopped");
  }
}

function issuerKeys({ data, github }: AgentSettings, logger: Logger): IssuerKeyFiles {
  const onTrouble = (issuer: string, detail: string) =>
    logger.warn({ issuer, detail }, "trouble with an issuer's keys");
  return new IssuerKeyFiles({ data, issuers: github, onTrouble });
}

/** How often the agent looks whether its certificate was renewed. */
const tlsLookMs = 5_000;

async function listenOn(
  settings: AgentSettings,
  { app, logger, metrics }: { app: HttpApp; logger: Logger; metrics: Metrics },
): Promise<{ server: NetworkServer; unwatch: Disposable }> {
  const allowed = allowedAddresses(settings.allow);
  const onRefused = (from: string) => {
    metrics.refused("address_not_allowed");
    logger.debug({ from }, "connection refused: agent.yml does not allow its address");
  };
  const connections = { ...settings.limits, onFull: (about: object) => logger.warn(about, "connections are refused") };
  const options = { app, allowed, onRefused, connections };
  if (settings.tls === undefined) {
    const server = await startServer(address(settings.listen), options);
    return { server, unwatch: { [Symbol.dispose]: () => undefined } };
  }
  const paths = tlsPaths(settings.tls, process.env.CREDENTIALS_DIRECTORY);
  const tls = await readTlsPair(paths);
  const server = await startServer(address(settings.listen), { ...options, tls });
  metrics.certificate(tls.certificate);
  const unwatch = watchTlsFiles(tls, {
    paths,
    everyMs: tlsLookMs,
    renewed(pair) {
      server.renewTls(pair);
      metrics.certificate(pair.certificate);
      logger.info({ certificate: paths.certificate }, "certificate renewed");
    },
    broken(err) {
      metrics.certificateBroken();
      logger.error({ err }, "the renewed certificate cannot be used; the one of before stays");
    },
  });
  return { server, unwatch };
}

interface Observed {
  events: ObservedEvents;
  service: Deployments;
  apps: Ports["apps"];
  logger: Logger;
}

/** Who hears of what deployments do, and of their ends. */
function observe({ settings }: Host, { events, service, apps, logger }: Observed) {
  const metrics = new Metrics({ service, version, freeBytes: () => freeBytes(settings.data) });
  const onError = (err: unknown) => logger.error({ err }, "the audit log could not be written");
  const files = new AuditFiles(settings.data, { onError });
  const audit = new AuditWithRefusals(files, (reason) => metrics.refused(reason));
  const webhooks = new Webhooks({
    webhooks: settings.webhooks,
    apps,
    host: names(settings)[0] ?? settings.listen,
    log: logger,
    onResult: (result) => metrics.webhook(result),
  });
  events.listen((app, event) => metrics.event(app, event));
  events.listen((_app, event) => {
    const entry = endOf(event);
    if (entry !== undefined) void audit.record(entry);
  });
  events.listen((app, event) => webhooks.event(app, event));
  return {
    metrics,
    audit,
    async closeObservers(): Promise<void> {
      await webhooks.close(graceMs);
      await files.close();
    },
  };
}

/** Without names of its own the agent answers to the address that it listens on. */
function names({ names, listen }: AgentSettings): string[] {
  return names.length > 0 ? names : [listen];
}

function address(listen: string): { host: string; port: number } {
  const separator = listen.lastIndexOf(":");
  return { host: listen.slice(0, separator).replace(/^\[|\]$/g, ""), port: Number(listen.slice(separator + 1)) };
}

function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, resolve);
  return promise;
}

const program = new Command("cutover-agent")
  .description("Takes releases from the cutover Action and moves this host's traffic to them.")
  .version(version)
  .option("--config <file>", "the agent's settings; its apps are in apps/ beside it", "/etc/cutover/agent.yml")
  .option("--embedded <dir>", "run an own supervisord and nginx under this directory, as this user")
  .option("--listen <address:port>", "for the first start of --embedded: where it listens")
  .addHelpText("after", "\nExample:\n  $ cutover-agent --embedded ./try --listen 127.0.0.1:7070");

/** What was left in the middle, and what only waits, does not keep a process that has done its last work. */
function leave(): void {
  setTimeout(() => process.exit(), 100).unref();
}

try {
  await run(program.parse().opts<Options>());
} catch (thrown) {
  const { code, message, unchanged, fix } = asCutoverError(thrown);
  const lines = [`cutover-agent: ${message} [${code}]`, unchanged, fix].filter((line) => line !== undefined);
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exitCode = 1;
}
leave();
