import type { ServerResponse } from "node:http";
import type { Failure } from "../../shared/protocol.ts";

export function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

export function noSuchCall(response: ServerResponse): void {
  problem(response, 404, { code: "request_invalid", detail: "no such call" });
}

export function problem(response: ServerResponse, status: number, failure: Failure): void {
  const body = { type: "about:blank", title: failure.code, status, ...failure };
  response.writeHead(status, { "content-type": "application/problem+json", connection: "close" });
  response.end(JSON.stringify(body));
}
