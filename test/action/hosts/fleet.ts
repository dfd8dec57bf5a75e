import { onTestFinished } from "vitest";
import { Bundle } from "../../../action/bundle/bundle.ts";
import { listFiles, makeManifest, readForBundle } from "../../../action/bundle/manifest.ts";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { noManifests } from "../../../action/client/live-files.ts";
import { usualTiming } from "../../../action/client/timing.ts";
import { HostApp } from "../../../action/hosts/host-app.ts";
import { HostDeploy } from "../../../action/hosts/host-deploy.ts";
import { HostLog } from "../../../action/hosts/host-log.ts";
import { Log } from "../../../action/runner/log.ts";
import { keyTokens } from "../../../action/tokens/key-tokens.ts";
import { generateKey } from "../../../shared/key.ts";
import { FakeAgent, type FakeAgentOptions } from "../../fakes/agent.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { configOf, never, Workspace } from "../workspace.ts";

const quick = { ...usualTiming, firstDelayMs: 5, lostAfterMs: 200 };

/** For the time of a test: hosts named a, b, c with agents that behave as said; what they did, in order, is the journal. */
export function fleet(...options: FakeAgentOptions[]) {
  return fleetWith(new RecordedConsole(), ...options);
}

/** The same, with what the hosts log in this console. */
export async function fleetWith<C extends RecordedConsole>(log: C, ...options: FakeAgentOptions[]) {
  const journal: string[] = [];
  const pair = await generateKey();
  const mask = () => {};
  const tokens = await keyTokens({ signingKey: pair.privatePem, env: {}, now: Date.now, mask });
  const agents: FakeAgent[] = [];
  const hosts: HostDeploy[] = [];
  for (const [index, each] of options.entries()) {
    const agent = await FakeAgent.start({ ...each, journal, name: "abc"[index] ?? "x" }, pair);
    onTestFinished(() => agent.close());
    agents.push(agent);
    const client = new AgentClient(agent.url, { timing: quick });
    const hostLog = new HostLog(new Log(log), client.host, options.length === 1 ? "live" : "groups");
    const app = new HostApp({ app: "shop", client, tokens, waitMs: 0, allowOlder: false, manifests: noManifests });
    hosts.push(new HostDeploy({ app, log: hostLog, now: Date.now }));
  }
  return { journal, hosts, agents, log, bundle: await smallBundle() };
}

async function smallBundle(): Promise<Bundle> {
  const space = new Workspace({ "p/shop/wsgi.py": "application = 1\n" });
  onTestFinished(() => space[Symbol.dispose]());
  const config = configOf();
  const files = readForBundle(listFiles(config, space.at("p"), []));
  const made = new Date("2026-11-21T10:30:00Z");
  const manifest = makeManifest({ config, files, made, commit: "3f2c1ab".padEnd(40, "0"), repository: "" });
  return new Bundle({ manifest, files, directory: space.path, signal: never, onPacked: () => undefined });
}

/** How the command ended on each host. */
export function outcomes(hosts: HostDeploy[]) {
  return hosts.map(({ report }) => report.outcome);
}
