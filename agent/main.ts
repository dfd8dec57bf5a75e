#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=1 --expose-gc --optimize-for-size
// The agent shares small hosts with the apps, also while a bundle of a gigabyte streams through it: a small young generation
// is collected often, which frees the buffers that passed, and few arenas keep little of what was freed. A collector that works
// for size gives empty pages back. None of it costs time that can be measured.
// The collector can be called: see agent/observe/small-heap.ts.
//
// This file joins the parts of the agent: settings -> ports (agent/host) -> deployments (agent/deploy) -> HTTP (agent/http).
// agent/wire/ does most of it: host.ts reads the settings, ports.ts makes the ports, observe.ts the metrics and the audit log,
// http.ts and listen.ts the servers. The deployments are made here. No other code of this process knows two of the parts; the
// helper is a process of its own, which agent/helper/main.ts joins.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { CutoverError } from "../shared/errors.ts";
import { wakeThreadPool } from "../shared/thread-pool.ts";
import { Deployments } from "./deploy/deployments.ts";
import { setEffectHook } from "./effects.ts";
import { EventFilesOnDisk } from "./host/store/event-files.ts";
import { PinnedRepositoriesFile } from "./host/trust/pinned-repositories.ts";
import { UsedTokensFile } from "./host/trust/used-tokens.ts";
import { AnotherAgent } from "./http/admin-server.ts";
import { createLogger } from "./logger.ts";
import { ObservedEvents } from "./observe/observed-events.ts";
import { keepHeapSmall } from "./observe/small-heap.ts";
import { SystemdNotifier } from "./systemd-notify.ts";
import { certificateManager } from "./wire/certificates.ts";
import { type Host, type HostOptions, openHost } from "./wire/host.ts";
import { openAdminSocket, openMetrics, openNetwork } from "./wire/http.ts";
import { lastWords } from "./wire/last-words.ts";
import { names } from "./wire/listen.ts";
import { observe } from "./wire/observe.ts";
import { openPorts } from "./wire/ports.ts";
import { openPublicPage } from "./wire/public-page.ts";

const { version } = packageJson;
/** Calls that still run at shut-down, such as followers of events, get this long. */
const graceMs = 2000;
/** How long deployments have to reach a safe point. One that does not is recovered as if the agent had been killed. */
const safePointMs = 7500;

async function run(options: HostOptions): Promise<void> {
  using _awake = wakeThreadPool();
  using _small = keepHeapSmall();
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
    // The nginx and supervisord of another embedded agent are not this one's to stop.
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

  const { ports, requests, closePorts } = await openPorts(host, { events, version, logger });
  const deployments = new Deployments({
    ...{ ports, log: logger },
    onCut: (app, requests) => metrics.cut(app, requests),
    onInstances: (report) => webhooks.report(report),
  });
  const observers = { version, events, deployments, ports, logger };
  const { metrics, audit, webhooks, closeObservers } = observe(settings, observers);
  const certificates = certificateManager(settings, { ...observers, metrics, webhooks });

  // From here on, since a deployment that is recovered may be asked to stop at once.
  const stopSignal = nextSignal();
  const learnt = new PinnedRepositoriesFile(settings.data);
  const calls = { deployments, ports, metrics, audit, learnt, certificates, logger, version };
  // First, since it refuses to start when another agent runs: two agents must not recover the same apps.
  const admin = await openAdminSocket(settings, calls);
  const servers = [admin];
  const spent = await UsedTokensFile.open(join(settings.data, "spent-tokens"));
  const systemd = new SystemdNotifier(process.env, (err) => logger.warn({ err }, "systemd-notify failed"));
  try {
    await requests.start();
    await Promise.race([deployments.recoverAll(), stopSignal]);
    deployments.supervision.start();
    const network = await openNetwork(settings, { ...calls, spent, credentials: process.env.CREDENTIALS_DIRECTORY });
    servers.unshift(network);
    servers.push(...(await openMetrics(settings, calls)), ...(await openPublicPage(settings, calls)));
    logger.info({ version, listen: network.address, names: names(settings), socket: admin.address }, "ready");
    void systemd.ready();
    certificates.start();
    const signal = await stopSignal;
    logger.info({ signal }, "stopping");
  } finally {
    await systemd.stopping();
    certificates.close();
    const closed = servers.map((server) => server.close(graceMs));
    const patience = sleep(safePointMs, "late", { ref: false });
    const late = (await Promise.race([deployments.close(), patience])) === "late";
    if (late) logger.warn("a deployment did not reach a safe point; the next start recovers it");
    await Promise.all(closed);
    await closeObservers();
    await spent.close();
    await requests.close();
    closePorts();
    logger.info("stopped");
  }
}

function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, resolve);
  return promise;
}

const program = new Command("cutover-agent")
  .description("Takes releases from the cutover Action and moves this host's traffic to them.")
  .version(version)
  .option(
    "--config <file>",
    "the agent's settings; the apps' settings are in apps/ next to it",
    "/etc/cutover/agent.yml",
  )
  .option("--embedded <dir>", "run its own supervisord and nginx under this directory, as this user")
  .option("--listen <address:port>", "for the first start of --embedded: where it listens")
  .addHelpText("after", "\nExample:\n  $ cutover-agent --embedded ./try --listen 127.0.0.1:7070");

/** Steps that were left in the middle, and timers, do not keep alive a process that has done its last work. */
function leave(): void {
  setTimeout(() => process.exit(), 100).unref();
}

try {
  await run(program.parse().opts<HostOptions>());
} catch (thrown) {
  const { status, text } = lastWords(thrown);
  process.stderr.write(text);
  process.exitCode = status;
}
leave();
