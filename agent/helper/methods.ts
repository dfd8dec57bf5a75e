import type { z } from "zod";
import type { OutputListener } from "../contracts/privileged.ts";
import { assertOwn, type GuardedHost } from "./guarded-host.ts";
import * as shape from "./shapes.ts";

/** What a request has besides its params. */
export interface CallContext {
  /** Gets each line that what runs prints, before the answer. */
  onOutput: OutputListener;
  /** Aborted when the agent cancels the request, or is gone. */
  signal: AbortSignal;
}

interface Method<Params extends z.ZodType, Result extends z.ZodType> {
  params: Params;
  result: Result;
  handle(host: GuardedHost, params: z.output<Params>, context: CallContext): Promise<z.output<Result>>;
}

function method<Params extends z.ZodType, Result extends z.ZodType>(
  params: Params,
  result: Result,
  handle: Method<Params, Result>["handle"],
): Method<Params, Result> {
  return { params, result, handle };
}

const { done, none, ofApp, ofProcess, ofRelease, ofRun, processSpec, runSpec } = shape;

/**
 * All that the agent may ask of the helper: the shape of the params, the shape of the result, and what the helper does. Both
 * sides parse what they get by this table.
 *
 * To add a method: declare it in contracts/privileged.ts, implement it in host/privileged.ts, add its shapes to shapes.ts, a
 * row here and a call in remote.ts. In test/: a case in agent/helper/methods.test.ts, hostile requests in
 * hostile/agent-cases.ts (test/README.md has their number), and the method in fakes/ports.ts and simulation/privileged.ts.
 */
export const methods = {
  prepareHost: method(none, done, ({ privileged }) => privileged.prepareHost()),
  // Not while the app is removed, which shuts the agent out: this lets it in again.
  prepareApp: method(ofApp, done, (host, { app }) => host.inTurn(app, () => host.privileged.prepareApp(app))),
  removeApp: method(shape.removal, done, (host, { app, data }) =>
    host.inTurn(app, () => host.privileged.removeApp(app, data)),
  ),

  instances: method(runSpec, shape.instances, ({ privileged }, spec) => privileged.instances(spec)),
  listening: method(runSpec, shape.addresses, ({ privileged }, spec) => privileged.listening(spec)),
  strayListeners: method(runSpec, shape.addresses, ({ privileged }, spec) => privileged.strayListeners(spec)),
  startPrograms: method(runSpec, done, (host, spec) => host.ifShared(spec, () => host.privileged.startPrograms(spec))),
  programs: method(ofRun, shape.programs, ({ privileged }, { app, run }) => privileged.programs(app, run)),
  removePrograms: method(ofRun, done, ({ privileged }, { app, run }) => privileged.removePrograms(app, run)),
  runs: method(ofApp, shape.runs, ({ privileged }, { app }) => privileged.runs(app)),

  revivePrograms: method(shape.revival, shape.programs, ({ privileged }, { app, run, stopped }) =>
    privileged.revivePrograms(app, run, stopped),
  ),
  fullShare: method(ofRun, done, ({ privileged }, { app, run }) => privileged.fullShare(app, run)),
  startProcess: method(processSpec, done, (host, { spec, process }) =>
    host.ifShared(spec, () => host.privileged.startProcess(spec, process)),
  ),
  processes: method(ofApp, shape.processGroups, ({ privileged }, { app }) => privileged.processes(app)),
  stopProcess: method(ofProcess, done, ({ privileged }, { app, run, process }) =>
    privileged.stopProcess(app, run, process),
  ),
  removeProcess: method(ofProcess, done, ({ privileged }, { app, run, process }) =>
    privileged.removeProcess(app, run, process),
  ),

  runCommand: method(shape.command, shape.exitCode, (host, { spec, argv, timeoutMs }, context) =>
    host.ifShared(spec, () => host.privileged.runCommand(spec, { argv, timeoutMs, source: "release", ...context })),
  ),
  maskSecrets: method(shape.texts, shape.masked, ({ privileged }, { app, texts }) =>
    privileged.maskSecrets(app, texts),
  ),
  commandEnvironment: method(runSpec, shape.commandEnvironment, ({ privileged }, spec) =>
    privileged.commandEnvironment(spec),
  ),

  checkSite: method(shape.siteConfig, done, async ({ privileged }, { app, config }) => {
    assertOwn(app, config);
    await privileged.checkSite(app, config);
  }),
  writeSite: method(shape.site, shape.changed, (host, { app, site }) => host.writeSite(app, site)),
  rotateRequests: method(ofApp, done, ({ privileged }, { app }) => privileged.rotateRequests(app)),
  upstreamServers: method(ofApp, shape.servers, ({ privileged }, { app }) => privileged.upstreamServers(app)),
  certificateRequest: method(shape.namesOfApp, shape.pem, (host, { app, names }) =>
    host.inTurn(app, () => host.privileged.certificateRequest(app, names)),
  ),
  installCertificate: method(shape.chainOfApp, done, (host, { app, chain }) =>
    host.inTurn(app, () => host.privileged.installCertificate(app, chain)),
  ),
  certificate: method(ofApp, shape.pem.optional(), ({ privileged }, { app }) => privileged.certificate(app)),
  oldWorkers: method(none, shape.yes, ({ privileged }) => privileged.oldWorkers()),

  buildEnvironment: method(ofRelease, shape.environment, (host, params, context) =>
    host.inTurn(params.app, () => host.build(params, context)),
  ),
  compileBytecode: method(shape.sources, shape.bytecode, (host, params, { signal }) => host.compile(params, signal)),
  environmentPresent: method(ofRelease, shape.yes, ({ environments }, { app, release }) =>
    environments.present(app, release),
  ),
  collectEnvironments: method(shape.keptReleases, done, (host, { app, kept }) =>
    host.inTurn(app, () => host.environments.prune(app, kept)),
  ),

  sealRelease: method(ofRelease, done, (host, { app, release }) => host.inTurn(app, () => host.share(app, release))),
  removeRelease: method(ofRelease, done, (host, { app, release }) => host.inTurn(app, () => host.remove(app, release))),
  collectLogs: method(shape.keptRuns, done, ({ logs }, { app, kept }) => logs.prune(app, kept)),
};

export type HelperMethod = keyof typeof methods;
export type Params = { [M in HelperMethod]: z.output<(typeof methods)[M]["params"]> };
export type Results = { [M in HelperMethod]: z.output<(typeof methods)[M]["result"]> };

/** The same table, as TypeScript can look into it by a name that is only known as a type. */
const rows: {
  [M in HelperMethod]: {
    params: z.ZodType<Params[M]>;
    result: z.ZodType<Results[M]>;
    handle(host: GuardedHost, params: Params[M], context: CallContext): Promise<Results[M]>;
  };
} = methods;

export function isMethod(name: string): name is HelperMethod {
  return Object.hasOwn(methods, name);
}

export function parseParams<M extends HelperMethod>(method: M, params: unknown): z.ZodSafeParseResult<Params[M]> {
  return rows[method].params.safeParse(params);
}

export function parseResult<M extends HelperMethod>(method: M, result: unknown): z.ZodSafeParseResult<Results[M]> {
  return rows[method].result.safeParse(result);
}

/** Does what is asked. @throws CutoverError what the host throws, helper_refused */
export function handle<M extends HelperMethod>(
  host: GuardedHost,
  { method, params }: { method: M; params: Params[M] },
  context: CallContext,
): Promise<Results[M]> {
  return rows[method].handle(host, params, context);
}
