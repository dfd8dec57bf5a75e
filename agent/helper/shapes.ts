import { z } from "zod";
import { configSchema, processName } from "../../shared/config.ts";
import { serverName } from "../../shared/config-values.ts";
import { pathFault } from "../../shared/manifest.ts";
import { appName, releaseId, releaseOfRun, runId } from "../../shared/names.ts";
import { slotCount } from "../../shared/slots.ts";
import { programStates } from "../contracts/privileged.ts";

/**
 * The shapes of what the agent asks and of what the helper answers. The helper trusts no agent: a request is strict, and
 * none of its fields is a path, a user or a directive.
 */

// Requests

export const none = z.strictObject({});
export const ofApp = z.strictObject({ app: appName });
export const removal = z.strictObject({ app: appName, data: z.boolean().default(false) });
export const ofRun = z.strictObject({ app: appName, run: runId });
export const ofRelease = z.strictObject({ app: appName, release: releaseId });
export const ofProcess = z.strictObject({ app: appName, run: runId, process: processName });
export const revival = z.strictObject({ app: appName, run: runId, stopped: z.boolean() });

export const runSpec = z
  .strictObject({ app: appName, run: runId, release: releaseId, config: configSchema })
  .refine(({ app, config }) => config.app === app, { path: ["config", "app"], error: "another app's" })
  .refine(({ run, release }) => releaseOfRun(run) === release, { path: ["run"], error: "a run of another release" });
export const processSpec = z.strictObject({ spec: runSpec, process: processName });

const word = z
  .string()
  .max(8192)
  .refine((text) => !text.includes("\0"), "no NUL character");
/** Thirty days. */
const timeoutMs = z.int().min(1).max(2_592_000_000);
export const command = z.strictObject({ spec: runSpec, argv: z.array(word).min(1).max(1024), timeoutMs });

export const texts = z.strictObject({ app: appName, texts: z.array(z.string().max(1_000_000)).max(1000) });

export const siteConfig = z.strictObject({ app: appName, config: configSchema });
const slot = z.int().min(1).max(65535).nullable();
const sitePart = z.strictObject({ config: configSchema, slots: z.array(slot).length(slotCount) });
export const site = z.strictObject({
  app: appName,
  site: z.strictObject({ main: sitePart.nullable(), preview: sitePart.nullable(), keepNames: z.boolean().optional() }),
});

const hostName = serverName.refine((name) => !/[*_]/.test(name), "a name without wildcard");
/** As many as Let's Encrypt puts into one certificate. */
export const namesOfApp = z.strictObject({ app: appName, names: z.array(hostName).min(1).max(100) });
export const chainOfApp = z.strictObject({ app: appName, chain: z.string().max(65_536) });

const sourcePath = z.string().refine((path) => pathFault(path) === undefined && path.endsWith(".py"), "no source");
/** `version` is that of `python.version` in cutover.yml. */
export const sources = z.strictObject({
  app: appName,
  release: releaseId,
  paths: z.array(sourcePath).max(1000),
  version: configSchema.shape.python.unwrap().shape.version,
});
export const keptReleases = z.strictObject({ app: appName, kept: z.array(releaseId).max(1000) });
export const keptRuns = z.strictObject({ app: appName, kept: z.array(runId).max(1000) });

// Answers

/** Of what only has to be done. Whatever is answered means that it is. */
export const done = z.unknown().transform((): void => undefined);

export const instances = z.array(
  z.object({ name: z.string(), address: z.string(), protocol: z.enum(["http", "uwsgi"]) }),
);

const programStatus = z.object({
  name: z.string(),
  state: z.enum(programStates),
  pid: z.int(),
  uptime: z.number(),
  detail: z.string(),
});
/** JSON has no undefined: then the answer has no result. */
export const programs = z.array(programStatus).optional();
export const processGroups = z.array(
  z.object({
    run: z.string(),
    process: z.string(),
    stopMs: z.number(),
    programs: z.array(programStatus.extend({ signalled: z.boolean() })),
  }),
);

export const commandEnvironment = z.object({
  release: z.string(),
  directory: z.string(),
  env: z.record(z.string(), z.string()),
  uid: z.int().exactOptional(),
  gid: z.int().exactOptional(),
});

export const pem = z.string();
export const servers = z.object({
  main: z.array(z.string()),
  preview: z.array(z.string()),
  unread: z.boolean(),
  before: z.array(z.string()).optional(),
});
export const runs = z.array(z.string());
export const addresses = z.array(z.string());
export const exitCode = z.int();
export const masked = z.array(z.string());
export const yes = z.boolean();
export const changed = z.object({ changed: z.boolean() });
export const environment = z.object({ key: z.string(), reused: z.boolean(), cacheTag: z.string() });
/** In base64. */
export const bytecode = z.array(z.string().nullable());
