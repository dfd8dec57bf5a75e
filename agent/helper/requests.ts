import { z } from "zod";
import { configSchema, processName } from "../../shared/config.ts";
import { appName, releaseId, releaseOfRun, runId } from "../../shared/names.ts";
import { failure } from "../../shared/protocol.ts";
import { slotCount } from "../../shared/slots.ts";

/**
 * What the agent may ask of the helper, and nothing else. One JSON object a line, each way: requests with ids of the agent's
 * choice, and to each one answer, before it the lines of output of what runs. No field is a path, a user or a directive.
 */

/** Bytes of one line, its newline among them. Larger than any configuration that a manifest may hold in practice. */
export const longestRequest = 4 * 1024 * 1024;
/** More at once are refused. The agent asks for a few, for each of its apps. */
export const mostAtOnce = 256;

const id = z
  .int()
  .min(1)
  .max(2 ** 48);

const spec = z
  .strictObject({ app: appName, run: runId, release: releaseId, config: configSchema })
  .refine(({ app, config }) => config.app === app, { path: ["config", "app"], error: "another app's" })
  .refine(({ run, release }) => releaseOfRun(run) === release, { path: ["run"], error: "a run of another release" });

const word = z
  .string()
  .max(8192)
  .refine((text) => !text.includes("\0"), "no NUL character");
const argv = z.array(word).min(1).max(1024);
/** Thirty days. */
const timeoutMs = z.int().min(1).max(2_592_000_000);

const ofApp = z.strictObject({ app: appName });
const ofRun = z.strictObject({ app: appName, run: runId });
const ofRelease = z.strictObject({ app: appName, release: releaseId });
const ofProcess = z.strictObject({ app: appName, run: runId, process: processName });

const slot = z.int().min(1).max(65535).nullable();
const part = z.strictObject({ config: configSchema, slots: z.array(slot).length(slotCount) });
const site = z.strictObject({ main: part.nullable(), preview: part.nullable() });

function request<Method extends string, Params extends z.ZodType>(method: Method, params: Params) {
  return z.strictObject({ id, method: z.literal(method), params });
}

export const helperRequest = z.discriminatedUnion("method", [
  request("prepareHost", z.strictObject({})),
  request("prepareApp", ofApp),
  request("removeApp", ofApp),
  request("instances", spec),
  request("startPrograms", spec),
  request("programs", ofRun),
  request("removePrograms", ofRun),
  request("runs", ofApp),
  request("startProcess", z.strictObject({ spec, process: processName })),
  request("processes", ofApp),
  request("stopProcess", ofProcess),
  request("removeProcess", ofProcess),
  request("runCommand", z.strictObject({ spec, argv, timeoutMs })),
  request("maskSecrets", z.strictObject({ app: appName, texts: z.array(z.string().max(1_000_000)).max(1000) })),
  request("commandEnvironment", spec),
  request("checkSite", z.strictObject({ app: appName, config: configSchema })),
  request("writeSite", z.strictObject({ app: appName, site })),
  request("upstreamServers", ofApp),
  request("oldWorkers", z.strictObject({})),
  request("buildEnvironment", z.strictObject({ app: appName, release: releaseId, reuse: releaseId.nullable() })),
  request("environmentPresent", ofRelease),
  request("collectEnvironments", z.strictObject({ app: appName, kept: z.array(releaseId).max(1000) })),
  request("sealRelease", ofRelease),
  request("removeRelease", ofRelease),
  request("collectLogs", z.strictObject({ app: appName, kept: z.array(runId).max(1000) })),
]);
export type HelperRequest = z.output<typeof helperRequest>;

/** Ends what a request has begun, where it can be ended; the request is answered all the same. */
export const cancellation = z.strictObject({ cancel: id });

export const helperMessage = z.union([helperRequest, cancellation]);
export type HelperMessage = z.output<typeof helperMessage>;

/** The first line of a connection is `helper`; 0 is the id of what was no request. */
export const helperAnswer = z.union([
  z.strictObject({ helper: z.string() }),
  z.strictObject({ id: z.int(), output: z.tuple([z.string(), z.string()]) }),
  z.strictObject({ id: z.int(), error: failure }),
  z.strictObject({ id: z.int(), result: z.unknown().optional() }),
]);
export type HelperAnswer = z.output<typeof helperAnswer>;
