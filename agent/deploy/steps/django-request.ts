import { type Cause, findCause, releaseFile } from "../../../shared/causes/cause.ts";
import type { Evidence } from "../../../shared/errors.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption } from "../context.ts";

const timeoutMs = 15_000;
const evidenceLines = 60;

/** Makes the same request in a process of its own, in which Django raises instead of hiding what went wrong. */
const program = `
import importlib, sys
module, path, host = sys.argv[1:4]
importlib.import_module(module)
from django.test import Client
Client(raise_request_exception=True).get(path, HTTP_HOST=host, HTTP_X_FORWARDED_PROTO="https")
`;

/** The page that Django shows with DEBUG = False. */
export function isDjangoError(body: string): boolean {
  return body.includes("<h1>Server Error (500)</h1>");
}

interface Asked {
  answer: Extract<HealthAnswer, { kind: "status" }>;
  path: string;
  host: string;
}

/**
 * With DEBUG = False and no console in LOGGING, Django prints nothing of a 500. So the request is repeated once, as the app's
 * user, in the release's environment. undefined if the app is not Django, or if this does not tell either.
 */
export async function djangoSays(
  context: DeployContext,
  spec: RunSpec,
  { answer, path, host }: Asked,
): Promise<{ cause: Cause; evidence: Evidence[] } | undefined> {
  const [module] = spec.config.server.app?.split(":") ?? [];
  if (module === undefined || !isDjangoError(answer.body)) return undefined;
  const lines: string[] = [];
  const command = {
    argv: ["python", "-c", program, module, path, host],
    timeoutMs,
    source: "the same request again",
    signal: interruption(context),
    onOutput: (_: string, line: string) => {
      lines.push(line);
      if (lines.length > evidenceLines) lines.shift();
    },
  };
  await context.ports.privileged.runCommand(spec, command).catch(() => undefined);
  const text = lines.join("\n");
  const cause = findCause(text, { app: spec.app, where: "host", projectFile: releaseFile });
  return cause && { cause, evidence: [{ source: command.source, text }] };
}
