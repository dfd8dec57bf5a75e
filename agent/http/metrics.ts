import { Hono } from "hono";
import { accepts } from "hono/accepts";
import { calls } from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import { answer, type Call, type HttpApp } from "./call.ts";
import { problemOf, problemResponse } from "./problems.ts";

/** Renders the metrics. */
export type MetricsText = (format: keyof typeof contentTypes) => Promise<string>;

const contentTypes = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

const openMetrics = "application/openmetrics-text";

/**
 * In Prometheus's text format, or in OpenMetrics if the scraper would rather have that. It shows the names of the apps and their
 * health, and nothing that permits a call.
 */
export async function metricsResponse(c: Call, metrics: MetricsText): Promise<Response> {
  const asked = accepts(c, { header: "Accept", supports: [openMetrics, "text/plain"], default: "text/plain" });
  const format = asked === openMetrics ? "openmetrics" : "text";
  return new Response(await metrics(format), { headers: { "content-type": contentTypes[format], vary: "Accept" } });
}

/** An app with no other call than the metrics, for an address of their own. */
export function createMetricsApp({ logger, metrics }: { logger: Logger; metrics: MetricsText }): HttpApp {
  const app: HttpApp = new Hono();
  answer(app, calls.metrics, (c) => metricsResponse(c, metrics));
  app.onError((err) => {
    logger.error({ err }, "the metrics could not be rendered");
    return problemResponse(problemOf(err, "the metrics"));
  });
  return app;
}
