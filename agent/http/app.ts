import { randomUUID } from "node:crypto";
import { Hono } from "hono";
import type { Operation } from "../../shared/audience.ts";
import { pathOf } from "../../shared/call.ts";
import { CutoverError } from "../../shared/errors.ts";
import { toProblem } from "../../shared/problem.ts";
import {
  type Accepted,
  allowOlderHeader,
  calls,
  firstHostHeader,
  operatorHeader,
  protocolVersion,
} from "../../shared/protocol.ts";
import type { CallRequest } from "../contracts/service.ts";
import type { Logger } from "../logger.ts";
import { type AdminCallsOptions, addAdminCalls } from "./admin-calls.ts";
import { Audit } from "./audit.ts";
import type { Authorize, Authorized, Wanted } from "./auth/authorize.ts";
import { answer, type Call, type Env, type HttpApp, json } from "./call.ts";
import { type CallLimiter, TooManyCalls } from "./call-limits.ts";
import { type EventFormat, eventResponse, heartbeatMs } from "./events.ts";
import { filesResponse } from "./files-answer.ts";
import { type MetricsText, metricsResponse } from "./metrics.ts";
import * as params from "./params.ts";
import { problemOf, problemResponse } from "./problems.ts";
import { type BodyRate, defaultBodyRate, RequestBody } from "./request-body.ts";

export interface HttpAppOptions extends AdminCallsOptions {
  authorize: Authorize;
  logger: Logger;
  /** The agent's version, for /healthz. */
  version: string;
  /** Whether to answer the calls for local operators too: they show secrets or remove everything. */
  admin?: boolean;
  /** What `GET /metrics` answers; without it there is no such call here. */
  metrics?: MetricsText;
  bodyRate?: BodyRate;
  /** Counts callers by address; without it nobody does. */
  limiter?: CallLimiter;
  heartbeatMs?: number;
}

/** The HTTP interface: the calls of shared/protocol.ts, answered by any Service. */
export function createHttpApp(options: HttpAppOptions): HttpApp {
  const app: HttpApp = new Hono<Env>();
  app.use(async (c, next) => {
    const started = performance.now();
    const reference = randomUUID().slice(0, 8);
    c.set("reference", reference);
    c.set("audit", new Audit(options.audit, reference));
    options.limiter?.admit(addressOf(c));
    await next();
    await c.get("audit").answered(c.error);
    logCall(options.logger, c, performance.now() - started);
  });
  app.onError((thrown, c) => refuse(options.logger, c, thrown));
  app.notFound((c) => {
    const error = new CutoverError("request_invalid", `There is no call ${c.req.method} ${c.req.path.slice(0, 200)}.`, {
      unchanged: "Nothing was changed.",
      fix: "https://github.com/cutover/cutover/tree/main/agent/http#the-calls lists the calls.",
    });
    return problemResponse(toProblem(error, 404));
  });
  addCommands(app, options);
  addViews(app, options);
  const { metrics } = options;
  if (metrics !== undefined) answer(app, calls.metrics, (c) => metricsResponse(c, metrics));
  if (options.admin === true) addAdminCalls(app, options);
  return app;
}

function addCommands(app: HttpApp, options: HttpAppOptions): void {
  const { service, bodyRate = defaultBodyRate } = options;

  answer(app, calls.deploy, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const query = params.queryOf(calls.deploy, c);
    const leaseSecret = params.leaseParam(c);
    const allowed = await authorize(options, c, name, { name: "deploy" });
    const result = await service.deploy(name, {
      ...callRequest(c, allowed, query.wait),
      body: () => new RequestBody(c.env, bodyRate),
      digest: allowed.operation?.name === "deploy" ? allowed.operation.digest : undefined,
      base: query.base,
      activate: query.activate,
      releaseCommand: query.release_command,
      leaseMs: query.lease * 1000,
      leaseSecret,
      allowOlder: c.req.header(allowOlderHeader) === "true",
      firstHost: c.req.header(firstHostHeader) !== "false",
      length: params.lengthHeader(c.req.header("content-length")),
    });
    return acceptedResponse(c, result);
  });

  answer(app, calls.activate, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const release = params.releaseParam(c.req.param("release"));
    const { wait } = params.queryOf(calls.activate, c);
    const allowed = await authorize(options, c, name, { name: "activate", release });
    const { weight } = await params.bodyOf(calls.activate, c);
    c.get("audit").asks({ weight });
    const request = { ...callRequest(c, allowed, wait), weight };
    return acceptedResponse(c, await service.activate(name, release, request));
  });

  answer(app, calls.redeploy, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { wait } = params.queryOf(calls.redeploy, c);
    const allowed = await authorize(options, c, name, { name: "redeploy" });
    const { release = "live" } = await params.bodyOf(calls.redeploy, c);
    assertSigned(allowed.operation, release);
    return acceptedResponse(c, await service.redeploy(name, release, callRequest(c, allowed, wait)));
  });

  answer(app, calls.rollback, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { wait } = params.queryOf(calls.rollback, c);
    const allowed = await authorize(options, c, name, { name: "rollback" });
    const { from } = await params.bodyOf(calls.rollback, c);
    return acceptedResponse(c, await service.rollback(name, { ...callRequest(c, allowed, wait), from }));
  });

  answer(app, calls.abort, async (c) => {
    const deployment = params.deploymentParam(c.req.param("id"));
    params.queryOf(calls.abort, c);
    const { app: name } = await service.deployment(deployment);
    c.set("deployment", deployment);
    c.get("audit").asks({ deployment });
    await authorize(options, c, name, { name: "abort", deployment });
    return json(c, calls.abort, await service.abort(deployment));
  });
}

function addViews(app: HttpApp, options: HttpAppOptions): void {
  const { service } = options;

  answer(app, calls.health, async (c) =>
    json(c, calls.health, { name: "cutover-agent", version: options.version, protocol: protocolVersion }),
  );

  answer(app, calls.app, async (c) => {
    const name = params.appParam(c.req.param("app"));
    await authorize(options, c, name, { name: "read" });
    return json(c, calls.app, await service.app(name));
  });

  answer(app, calls.files, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const release = c.req.param("release");
    const wanted = release === "live" ? release : params.releaseParam(release);
    const { form } = params.queryOf(calls.files, c);
    await authorize(options, c, name, { name: "read" });
    return filesResponse(await service.files(name, wanted), {
      columns: form === "columns",
      known: c.req.header("if-none-match"),
      encodings: c.req.header("accept-encoding"),
    });
  });

  answer(app, calls.deployment, async (c) => {
    const id = params.deploymentParam(c.req.param("id"));
    c.set("deployment", id);
    const { wait } = params.queryOf(calls.deployment, c);
    const secret = params.leaseParam(c);
    const view = await service.deployment(id, secret);
    c.env.proven?.();
    const settled = wait === 0 ? view : await service.settled(id, wait * 1000, c.req.raw.signal, secret);
    return json(c, calls.deployment, settled);
  });

  answer(app, calls.events, async (c) => {
    const id = params.deploymentParam(c.req.param("id"));
    c.set("deployment", id);
    const query = params.queryOf(calls.events, c);
    const resume = params.checked(calls.events.query, { after: c.req.header("last-event-id") }, "query");
    const format: EventFormat = c.req.header("accept")?.includes("text/event-stream") === true ? "sse" : "ndjson";
    // Ask first, so that an unknown deployment is a plain 404 and not a stream that breaks off.
    await service.deployment(id);
    c.env.proven?.();
    const gone = new AbortController();
    const signal = AbortSignal.any([gone.signal, c.req.raw.signal]);
    // A browser that connects again sends the same address, and in the header what it has got since.
    return eventResponse(service.events(id, resume.after ?? query.after ?? 0, signal), {
      format,
      heartbeatMs: options.heartbeatMs ?? heartbeatMs,
      onGone: () => gone.abort(),
      onError: (thrown) => {
        if (!signal.aborted)
          options.logger.error({ err: thrown, deployment: id, reference: c.get("reference") }, "events broke off");
        c.env.outgoing.destroy();
      },
    });
  });
}

async function authorize(options: HttpAppOptions, c: Call, app: string, wanted: Wanted): Promise<Authorized> {
  const audit = c.get("audit");
  audit.asks({ what: wanted.name, app, ...("release" in wanted && { release: wanted.release }) });
  const good = options.limiter?.tries(addressOf(c));
  const allowed = await options
    .authorize({ app, wanted, authorization: c.req.header("authorization"), operator: c.req.header(operatorHeader) })
    .catch((thrown: unknown) => {
      // A genuine token that does not allow this call is not a guess.
      if (!(thrown instanceof CutoverError) || thrown.code !== "unauthorized") good?.();
      throw thrown;
    });
  good?.();
  c.env.proven?.();
  audit.asks({ by: allowed.actor });
  return allowed;
}

function addressOf(c: Call): string | undefined {
  return c.env.incoming.socket.remoteAddress;
}

function callRequest(c: Call, { actor }: Authorized, waitSeconds: number): CallRequest {
  return {
    by: actor,
    waitMs: waitSeconds * 1000,
    signal: c.req.raw.signal,
    reference: c.get("reference"),
    begun: (deployment) => {
      c.set("deployment", deployment);
      return c.get("audit").begun(deployment);
    },
  };
}

function assertSigned(operation: Operation | undefined, release: string): void {
  if (operation?.name !== "redeploy" || operation.release === release) return;
  throw new CutoverError(
    "forbidden",
    `The token is for redeploying ${operation.release}, and the body asks for ${release}.`,
    {
      unchanged: "Nothing was changed.",
      fix: "Make the token for the release that the body names, or for `live` if it names none.",
    },
  );
}

function acceptedResponse(c: Call, result: Accepted): Response {
  // Also for a repeated call, which gets the deployment that it has already.
  c.set("deployment", result.deployment);
  const location = pathOf(calls.deployment, { id: result.deployment });
  return json(c, calls.deploy, result, 202, { location });
}

function refuse(logger: Logger, c: Call, thrown: unknown): Response {
  const reference = c.get("reference");
  const deployment = c.get("deployment");
  const names = { reference, ...(deployment !== undefined && { deployment }) };
  const problem = problemOf(thrown, reference);
  if (problem.code === "internal") logger.error({ err: thrown, ...names }, "a call failed unexpectedly");
  else logger.debug({ err: thrown, ...names }, "a call was refused");
  return problemResponse(problem, {
    ...(problem.status === 401 && { "www-authenticate": "Bearer" }),
    ...(thrown instanceof TooManyCalls && { "retry-after": String(thrown.retryAfterSeconds) }),
  });
}

// Logs the path without the query, which may contain what does not belong in a log.
function logCall(logger: Logger, c: Call, ms: number): void {
  const { method, path } = c.req;
  const level = path === calls.health.path || path === calls.metrics.path ? "debug" : "info";
  const by = c.get("audit").actor;
  const deployment = c.get("deployment");
  logger[level](
    {
      method,
      path: path.slice(0, 400),
      status: c.res.status,
      ms: Math.round(ms),
      ...(by !== undefined && { actor: by.subject }),
      ...(deployment !== undefined && { deployment }),
      reference: c.get("reference"),
    },
    "call",
  );
}
