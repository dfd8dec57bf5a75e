import { z } from "zod";
import { appName, digest, releaseId } from "./names.ts";

/**
 * A token is for one command on one host, and its audience says which: `cutover/v1/<host>/<app>/<operation>`.
 * The host is the authority of the URL by which the caller knows the agent, so a server cannot pass a token on.
 */
export type Operation =
  | { name: "deploy"; digest: string }
  | { name: "activate"; release: string }
  | { name: "redeploy"; release: string }
  | { name: "rollback" }
  | { name: "abort"; deployment: string }
  | { name: "read" };

export interface Audience {
  host: string;
  app: string;
  operation: Operation;
}

export function formatAudience({ host, app, operation }: Audience): string {
  return `cutover/v1/${host}/${app}/${formatOperation(operation)}`;
}

function formatOperation(operation: Operation): string {
  switch (operation.name) {
    case "deploy":
      return `deploy/${operation.digest}`;
    case "activate":
    case "redeploy":
      return `${operation.name}/${operation.release}`;
    case "abort":
      return `abort/${operation.deployment}`;
    case "rollback":
    case "read":
      return operation.name;
  }
}

export const deploymentId = z.string().regex(/^[A-Za-z0-9_-]{22}$/);

const argument = {
  deploy: digest,
  activate: releaseId,
  redeploy: z.union([releaseId, z.literal("live")]),
  abort: deploymentId,
  rollback: z.undefined(),
  read: z.undefined(),
} as const;

/** The audience in its parts, or undefined when the text is not exactly one. */
export function parseAudience(text: string): Audience | undefined {
  const match = /^cutover\/v1\/([^/\s]{1,255})\/([^/]+)\/([a-z]+)(?:\/([^/]+))?$/.exec(text);
  if (match === null) return undefined;
  const [, host, app, name, value] = match;
  if (host === undefined || name === undefined || !Object.hasOwn(argument, name)) return undefined;
  if (!appName.safeParse(app).success) return undefined;
  if (!argument[name as keyof typeof argument].safeParse(value).success) return undefined;
  const operation = toOperation(name as Operation["name"], value ?? "");
  return { host, app: app ?? "", operation };
}

function toOperation(name: Operation["name"], value: string): Operation {
  switch (name) {
    case "deploy":
      return { name, digest: value };
    case "activate":
    case "redeploy":
      return { name, release: value };
    case "abort":
      return { name, deployment: value };
    case "rollback":
    case "read":
      return { name };
  }
}
