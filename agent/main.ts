#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=1
// The agent shares small hosts with the apps, also while a bundle of a gigabyte streams through: a small young generation
// is collected often, which frees the buffers that passed, and few arenas keep little of what was freed. Neither costs time.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { asCutoverError, CutoverError } from "../shared/errors.ts";
import { wakeThreadPool } from "../shared/thread-pool.ts";
import { Deployments } from "./deploy/deployments.ts";
import { setEffectHook } from "./effects.ts";
import { EventFilesOnDisk } from "./host/store/event-files.ts";
import { IssuerKeyFiles } from "./host/trust/issuer-keys.ts";
import { PinnedRepositoriesFile } from "./host/trust/pinned-repositories.ts";
import { UsedTokensFile } from "./host/trust/used-tokens.ts";
import { AnotherAgent, startAdminServer } from "./http/admin-server.ts";
import { createHttpApp } from "./http/app.ts";
import { localOperator, tokenAuthorizer } from "./http/auth/authorize.ts";
import { TrustBook } from "./http/auth/trust-view.ts";
import { CallLimiter } from "./http/call-limits.ts";
import { createMetricsApp } from "./http/metrics.ts";
import { startServer } from "./http/server.ts";
import { createLogger, type Logger } from "./logger.ts";
import { ObservedEvents } from "./observe/observed-events.ts";
import type { AgentSettings } from "./settings.ts";
import { ServiceManager } from "./systemd-notify.ts";
import { createPorts, type Host, type HostOptions, openBorder, openHost } from "./wire/host.ts";
import { address, listenOn, names } from "./wire/listen.ts";
import { observe } from "./wire/observe.ts";

const { version } = packageJson;
/** Calls that still run at shut-down, such as followers of events, get this long. */
const graceMs = 2000;
/** How long deployments have to reach a safe point. One that does not is taken up as if the agent had been killed. */
const safePointMs = 7500;

async function run(options: HostOptions): Promise<void> {
  using _awake = wakeThreadPool();
  const { CUTOVER_FAULTS: faults } = process.env;
  if (faults !== undefined) await armFaults(faults, options);
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

/** @throws CutoverError host_settings_invalid on a real host, where nothing may kill the agent on purpose */
async function armFaults(directory: string, { embedded }: HostOptions): Promise<void> {
  if (embedded === undefined) {
    throw new CutoverError("host_settings_invalid", "CUTOVER_FAULTS is set, which is only for tests with --embedded.", {
      unchanged: "The agent did not start; the sites go on serving.",
      fix: "Remove CUTOVER_FAULTS from the agent's environment.",
    });
  }
  const { injectFaults } = await import("./faults.ts");
  setEffectHook(injectFaults(directory));
}

async function serve(host: Host): Promise<void> {
  const { settings } = host;
  const logger = createLogger(settings.log_level);
  const events = new ObservedEvents(new EventFilesOnDisk(settings.data));
  const border = openBorder(host, version);
  await border.prepare();
  const ports = createPorts(host, { border, events, version });
  const service = new Deployments({ ports, log: logger, onCut: (app, requests) => metrics.cut(app, requests) });
  const manager = new ServiceManager(process.env, (err) => logger.warn({ err }, "systemd could not be told"));
  const { metrics, audit, closeObservers } = observe(settings, {
    version,
    events,
    service,
    apps: ports.apps,
    logger,
  });
  const common = { service, logger, version, audit };
  const { github, limits, data } = settings;
  const learnt = new PinnedRepositoriesFile(data);
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
  const spent = await UsedTokensFile.open(join(settings.data, "spent-tokens"));
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
    const { server, unwatch } = await listenOn(settings, {
      app,
      logger,
      metrics,
      credentials: process.env.CREDENTIALS_DIRECTORY,
    });
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
  await run(program.parse().opts<HostOptions>());
} catch (thrown) {
  const { code, message, unchanged, fix } = asCutoverError(thrown);
  const lines = [`cutover-agent: ${message} [${code}]`, unchanged, fix].filter((line) => line !== undefined);
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exitCode = 1;
}
leave();
