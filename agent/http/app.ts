import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import type { Operation } from "../../shared/audience.ts";
import { CutoverError } from "../../shared/errors.ts";
import { toProblem } from "../../shared/problem.ts";
import {
  type Accepted,
  activateBody,
  maintenanceBody,
  protocolVersion,
  redeployBody,
  rollbackBody,
  routes,
} from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import type { CallRequest, Service } from "../service.ts";
import type { Authorize, Authorized, Wanted } from "./auth.ts";
import { type EventFormat, eventResponse, heartbeatMs } from "./events.ts";
import * as params from "./params.ts";
import { problemOf, problemResponse } from "./problems.ts";
import { type BodyRate, defaultBodyRate, type HttpBindings, RequestBody, readJson } from "./request-body.ts";

export interface HttpAppOptions {
  service: Service;
  authorize: Authorize;
  logger: Logger;
  /** The agent's version, for /healthz. */
  version: string;
  /** Also the calls that only a local operator has: they give away secrets or take everything away. */
  admin?: boolean;
  bodyRate?: BodyRate;
  heartbeatMs?: number;
}

interface Env {
  Bindings: HttpBindings;
  Variables: { reference: string; actor?: string };
}
type Call = Context<Env>;

export type HttpApp = Hono<Env>;

/** The HTTP interface of the design's table, over any Service. */
export function createHttpApp(options: HttpAppOptions): HttpApp {
  const app: HttpApp = new Hono<Env>();
  app.use(async (c, next) => {
    const started = performance.now();
    c.set("reference", randomUUID().slice(0, 8));
    await next();
    logCall(options.logger, c, performance.now() - started);
  });
  app.onError((thrown, c) => refuse(options.logger, c, thrown));
  app.notFound((c) => {
    const error = new CutoverError("request_invalid", `There is no call ${c.req.method} ${c.req.path.slice(0, 200)}.`, {
      unchanged: "Nothing was changed.",
      fix: "The README lists the calls.",
    });
    return problemResponse(toProblem(error, 404));
  });
  addCommands(app, options);
  addViews(app, options);
  if (options.admin === true) addAdminCalls(app, options);
  return app;
}

function addCommands(app: HttpApp, options: HttpAppOptions): void {
  const { service, bodyRate = defaultBodyRate } = options;

  app.post(routes.releases(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const query = params.checked(params.deployQuery, c.req.query(), "query");
    const allowed = await authorize(options, c, name, { name: "deploy" });
    const result = await service.deploy(name, {
      ...callRequest(c, allowed, query.wait),
      body: () => new RequestBody(c.env, bodyRate),
      digest: allowed.operation?.name === "deploy" ? allowed.operation.digest : undefined,
      base: query.base,
      activate: query.activate,
      releaseCommand: query.release_command,
      leaseMs: query.lease * 1000,
    });
    return acceptedResponse(c, result);
  });

  app.post(routes.activate(":app", ":release"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const release = params.releaseParam(c.req.param("release"));
    const { wait } = params.checked(params.callQuery, c.req.query(), "query");
    const allowed = await authorize(options, c, name, { name: "activate", release });
    const { weight } = params.checked(activateBody, await readJson(c.env), "body");
    const request = { ...callRequest(c, allowed, wait), weight };
    return acceptedResponse(c, await service.activate(name, release, request));
  });

  app.post(routes.redeploy(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { wait } = params.checked(params.callQuery, c.req.query(), "query");
    const allowed = await authorize(options, c, name, { name: "redeploy" });
    const { release = "live" } = params.checked(redeployBody, await readJson(c.env), "body");
    assertSigned(allowed.operation, release);
    return acceptedResponse(c, await service.redeploy(name, release, callRequest(c, allowed, wait)));
  });

  app.post(routes.rollback(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { wait } = params.checked(params.callQuery, c.req.query(), "query");
    const allowed = await authorize(options, c, name, { name: "rollback" });
    const { from } = params.checked(rollbackBody, await readJson(c.env), "body");
    return acceptedResponse(c, await service.rollback(name, { ...callRequest(c, allowed, wait), from }));
  });

  app.post(routes.abort(":id"), async (c) => {
    const deployment = params.deploymentParam(c.req.param("id"));
    params.checked(params.noQuery, c.req.query(), "query");
    const { app: name } = await service.deployment(deployment);
    await authorize(options, c, name, { name: "abort", deployment });
    return c.json(await service.abort(deployment));
  });
}

function addViews(app: HttpApp, options: HttpAppOptions): void {
  const { service } = options;

  app.get(routes.health(), (c) =>
    c.json({ name: "cutover-agent", version: options.version, protocol: protocolVersion }),
  );

  app.get(routes.app(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    await authorize(options, c, name, { name: "read" });
    return c.json(await service.app(name));
  });

  app.get(routes.files(":app", ":release"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const release = c.req.param("release");
    const wanted = release === "live" ? release : params.releaseParam(release);
    await authorize(options, c, name, { name: "read" });
    return c.json(await service.files(name, wanted));
  });

  app.get(routes.deployment(":id"), async (c) => {
    const id = params.deploymentParam(c.req.param("id"));
    const { wait } = params.checked(params.callQuery, c.req.query(), "query");
    const view = wait === 0 ? service.deployment(id) : service.settled(id, wait * 1000, c.req.raw.signal);
    return c.json(await view);
  });

  app.get(routes.events(":id"), async (c) => {
    const id = params.deploymentParam(c.req.param("id"));
    const query = params.checked(params.eventsQuery, c.req.query(), "query");
    const resume = params.checked(params.eventsQuery, { after: c.req.header("last-event-id") }, "query");
    const format: EventFormat = c.req.header("accept")?.includes("text/event-stream") === true ? "sse" : "ndjson";
    // Asked first, so that an unknown deployment is a plain 404 and not a stream that breaks off.
    await service.deployment(id);
    const gone = new AbortController();
    const signal = AbortSignal.any([gone.signal, c.req.raw.signal]);
    return eventResponse(service.events(id, query.after ?? resume.after ?? 0, signal), {
      format,
      heartbeatMs: options.heartbeatMs ?? heartbeatMs,
      onGone: () => gone.abort(),
      onError: (thrown) => {
        if (!signal.aborted) options.logger.error({ err: thrown, reference: c.get("reference") }, "events broke off");
        c.env.outgoing.destroy();
      },
    });
  });
}

function addAdminCalls(app: HttpApp, options: HttpAppOptions): void {
  const { service } = options;
  const pin = (c: Call, pinned: boolean) =>
    service.pin(params.appParam(c.req.param("app")), params.releaseParam(c.req.param("release")), pinned);

  app.get(routes.apps(), async (c) => c.json({ apps: await service.apps() }));

  app.get(routes.logs(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { lines, run } = params.checked(params.logsQuery, c.req.query(), "query");
    return c.json({ logs: await service.logs(name, lines, run) });
  });

  app.get(routes.environment(":app"), async (c) => {
    const environment = await service.environment(params.appParam(c.req.param("app")));
    return c.json(environment, 200, { "cache-control": "no-store" });
  });

  app.put(routes.maintenance(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { allow } = params.checked(maintenanceBody, await readJson(c.env), "body");
    return c.json(await service.maintain(name, { allow }));
  });

  app.delete(routes.maintenance(":app"), async (c) => {
    await service.maintain(params.appParam(c.req.param("app")), null);
    return c.body(null, 204);
  });

  app.put(routes.pin(":app", ":release"), async (c) => {
    return c.json(await pin(c, true));
  });

  app.delete(routes.pin(":app", ":release"), async (c) => {
    return c.json(await pin(c, false));
  });

  app.post(routes.repair(":app"), async (c) => c.json(await service.repair(params.appParam(c.req.param("app")))));

  app.delete(routes.app(":app"), async (c) => {
    await service.removeApp(params.appParam(c.req.param("app")));
    return c.body(null, 204);
  });
}

async function authorize(options: HttpAppOptions, c: Call, app: string, wanted: Wanted): Promise<Authorized> {
  const allowed = await options.authorize({ app, wanted, authorization: c.req.header("authorization") });
  c.set("actor", allowed.actor.subject);
  return allowed;
}

function callRequest(c: Call, { actor }: Authorized, waitSeconds: number): CallRequest {
  return { by: actor, waitMs: waitSeconds * 1000, signal: c.req.raw.signal };
}

function assertSigned(operation: Operation | undefined, release: string): void {
  if (operation?.name !== "redeploy" || operation.release === release) return;
  throw new CutoverError(
    "forbidden",
    `The token is for redeploying ${operation.release}, and the body asks for ${release}.`,
    {
      unchanged: "Nothing was changed.",
      fix: "Make the token for the release that the body names, or for `live` where it names none.",
    },
  );
}

function acceptedResponse(c: Call, result: Accepted): Response {
  return c.json(result, 202, { location: routes.deployment(result.deployment) });
}

function refuse(logger: Logger, c: Call, thrown: unknown): Response {
  const reference = c.get("reference");
  const problem = problemOf(thrown, reference);
  if (problem.code === "internal") logger.error({ err: thrown, reference }, "a call failed unexpectedly");
  else logger.debug({ err: thrown, reference }, "a call was refused");
  return problemResponse(problem, problem.status === 401 ? { "www-authenticate": "Bearer" } : {});
}

// The path alone: a query may carry what does not belong into a log.
function logCall(logger: Logger, c: Call, ms: number): void {
  const { method, path } = c.req;
  const level = path === routes.health() ? "debug" : "info";
  const by = c.get("actor");
  logger[level](
    {
      method,
      path,
      status: c.res.status,
      ms: Math.round(ms),
      ...(by !== undefined && { actor: by }),
      reference: c.get("reference"),
    },
    "call",
  );
}
