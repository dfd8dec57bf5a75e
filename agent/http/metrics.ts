import { Hono } from "hono";
import { calls } from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import { answer, type HttpApp } from "./call.ts";
import { problemOf, problemResponse } from "./problems.ts";

/** Renders the metrics as text. */
export type MetricsText = () => Promise<string>;

/** In Prometheus's text format. It shows the names of the apps and their health, and nothing that permits a call. */
export async function metricsResponse(metrics: MetricsText): Promise<Response> {
  return new Response(await metrics(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
}

/** An app with no other call than the metrics, for an address of their own. */
export function createMetricsApp({ logger, metrics }: { logger: Logger; metrics: MetricsText }): HttpApp {
  const app: HttpApp = new Hono();
  answer(app, calls.metrics, () => metricsResponse(metrics));
  app.onError((err) => {
    logger.error({ err }, "the metrics could not be rendered");
    return problemResponse(problemOf(err, "the metrics"));
  });
  return app;
}
