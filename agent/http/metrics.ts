import { Hono } from "hono";
import { calls } from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import { answer, type HttpApp } from "./call.ts";
import { problemOf, problemResponse } from "./problems.ts";

/** Renders what a monitor is told. */
export type MetricsText = () => Promise<string>;

/** In Prometheus's text format. It says which apps there are and how they do, and nothing that lets one do anything. */
export async function metricsResponse(metrics: MetricsText): Promise<Response> {
  return new Response(await metrics(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
}

/** An app that has nothing but the metrics, for an address of their own. */
export function createMetricsApp({ logger, metrics }: { logger: Logger; metrics: MetricsText }): HttpApp {
  const app: HttpApp = new Hono();
  answer(app, calls.metrics, () => metricsResponse(metrics));
  app.onError((err) => {
    logger.error({ err }, "the metrics could not be told");
    return problemResponse(problemOf(err, "the metrics"));
  });
  return app;
}
