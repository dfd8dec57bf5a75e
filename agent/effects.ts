import { type DeploymentState, deploymentStates } from "../shared/deployment-states.ts";

/**
 * What the agent does to a host, each effect by its name. A test can kill the agent or make it fail exactly there, and see
 * what happens to the site (test/torture, agent/faults.ts). In production an effect is a plain call of its work.
 */
const named = [
  // The app, and the way from a bundle to a release
  "app.prepare",
  "app.remove",
  "directory.make",
  "bundle.clear",
  "bundle.spool",
  "object.write",
  "object.link",
  "bundle.static",
  "bundle.shared",
  "bundle.drop",
  "release.rename",
  "release.sync",
  "release.aside",
  "release.remove",
  "object.collect",
  "release.share",
  "release.command",
  // Its environment
  "environment.clear",
  "environment.build",
  "environment.take",
  "environment.complete",
  "environment.link",
  "environment.bytecode",
  "environment.remove",
  // Its instances and processes: files, and calls to supervisord
  "ports.reserve",
  "ports.release",
  "run.prepare",
  "launch.create",
  "launch.write",
  "launch.sync",
  "programs.write",
  "programs.reload",
  "programs.add",
  "programs.start",
  "programs.share",
  "programs.stop",
  "programs.unlink",
  "programs.remove",
  "process.unlink",
  "run.kill",
  "launch.remove",
  "run.remove",
  // Traffic
  "links.publish",
  "slots.prepare",
  "slots.swap",
  "slots.tidy",
  "nginx.keep",
  "site.write",
  "upstream.write",
  "site.restore",
  "site.remove",
  "nginx.reload",
  "nginx.forget",
  "requests.rotate",
  "requests.save",
  "maintenance.allow",
  "maintenance.begin",
  "maintenance.end",
  "maintenance.remove",
  // What is remembered
  "events.append",
  "events.collect",
  "logs.collect",
  "audit.open",
  "audit.append",
  "audit.rotate",
  "token.spend",
  "token.rewrite",
  "state.copy",
  // Inside each durable write of a file or a link
  "durable.clear",
  "durable.create",
  "durable.write",
  "durable.sync",
  "durable.rename",
  "durable.sync-directory",
  "durable.symlink",
  "durable.link",
] as const;
export type NamedEffect = (typeof named)[number];

/**
 * state.json is written before each step. Each write is named by the state that it records: `verdict` after a watch has
 * failed, `idle` when no deployment is open.
 */
const written = [...deploymentStates, "verdict", "idle"] as const;
type StateEffect = `state.write:${DeploymentState | "verdict" | "idle"}`;
export type Effect = NamedEffect | StateEffect;

export const effects: readonly Effect[] = [...named, ...written.map((state): StateEffect => `state.write:${state}`)];

/**
 * Called before an effect; what it returns is called after it. Both may throw, or end the process.
 * @param detail which of several effects of this name, such as a file's path; may be empty
 */
export type EffectHook = (name: Effect, detail: string) => () => void;

let hook: EffectHook | undefined;

/** Puts a hook around every effect from now on. Only an agent that was started with faults has one. */
export function setEffectHook(newHook: EffectHook): void {
  hook = newHook;
}

/** Runs the work of an effect. @param detail which of several effects of this name, such as a file's path */
export function effect<T>(name: Effect, work: () => Promise<T>, detail = ""): Promise<T> {
  return hook === undefined ? work() : hooked(hook, name, work, detail);
}

async function hooked<T>(around: EffectHook, name: Effect, work: () => Promise<T>, detail: string): Promise<T> {
  const after = around(name, detail);
  const result = await work();
  after();
  return result;
}

/** The same for synchronous work. */
export function effectNow<T>(name: Effect, work: () => T, detail = ""): T {
  const after = hook?.(name, detail);
  const result = work();
  after?.();
  return result;
}
