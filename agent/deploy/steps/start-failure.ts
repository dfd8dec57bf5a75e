import type { Cause } from "../../../shared/causes/cause.ts";
import { argv } from "../../../shared/command.ts";
import { CutoverError, type ErrorCode, type Evidence } from "../../../shared/errors.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import type { Instance, RunSpec } from "../../contracts/privileged.ts";
import type { DeployContext } from "../context.ts";
import { lastLogLines, maskedEvidence } from "../watch/run-health.ts";
import { djangoSays, isDjangoError } from "./django-request.ts";
import { causeIn, type Exited, exitWords, fixOf, readLog, sentence, type Words, wordsOf } from "./exit-words.ts";
import { noAnswer } from "./no-answer.ts";

/** What an instance was asked, and in what time it was to answer. */
export interface Asked {
  path: string;
  host: string;
  expect: string;
  timeout: string;
}

type Status = Extract<HealthAnswer, { kind: "status" }>;
type Unreachable = Exclude<HealthAnswer, Status>;

export type StartFault =
  | { kind: "exited"; instance: string; how: string }
  | { kind: "workers end"; instance: string }
  | { kind: "answered"; instance: Instance; answer: Status; asked: Asked }
  | { kind: "no answer"; instance: Instance; answer: Unreachable; asked: Asked };

/** Why a run did not become healthy, before its log was read. */
export class StartFailure extends Error {
  readonly fault: StartFault;

  constructor(fault: StartFault) {
    super(fault.kind);
    this.fault = fault;
  }
}

const unchanged = "The live release goes on serving; the new instances were stopped and removed.";
const silentDjango =
  'Django logs no error if DEBUG is False and LOGGING names no console. Add to the settings: LOGGING = {"version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["console"]}}. Then deploy again.';

/** Says in one line what the instance's log says, and what to do. */
export async function explainStartFailure(
  context: DeployContext,
  spec: RunSpec,
  fault: StartFault,
): Promise<CutoverError> {
  const logs = await lastLogLines(context.ports, spec);
  const name = typeof fault.instance === "string" ? fault.instance : fault.instance.name;
  const own = logs.find(({ source }) => source === name);
  const cause = causeIn(
    spec.app,
    own === undefined ? logs : [own],
    fault.kind === "exited" || fault.kind === "workers end",
  );
  switch (fault.kind) {
    case "exited":
      return failure("instance_died", exitWords(exitOf(spec, fault, cause, logs)), logs);
    case "workers end":
      return failure("instance_died", workersEnd(spec, fault.instance, cause), logs);
    case "answered":
      return answered(context, spec, fault, { cause, logs });
    case "no answer":
      return failure("health_timeout", await unanswered(context, spec, fault, cause), logs);
  }
}

function exitOf(
  { config }: RunSpec,
  { instance, how }: Extract<StartFault, { kind: "exited" }>,
  cause: Cause | undefined,
  logs: Evidence[],
): Exited {
  const { command, app } = config.server;
  const own = command === undefined ? importOf(app) : argv(command).join(" ");
  return { program: instance, how, cause, printed: logs.length > 0, command: own };
}

/** `shop.wsgi:application` */
function importOf(app: string | undefined): string | undefined {
  return app === undefined ? undefined : `python -c "import ${app.split(":", 1)[0]}"`;
}

/** What the host refused, with what the instances have printed. */
export async function withLogs(context: DeployContext, spec: RunSpec, error: CutoverError): Promise<CutoverError> {
  const { code, message, unchanged, fix } = error;
  return new CutoverError(code, message, {
    ...(unchanged !== undefined && { unchanged }),
    ...(fix !== undefined && { fix }),
    evidence: [...error.evidence, ...(await lastLogLines(context.ports, spec))],
    cause: error,
  });
}

function failure(code: ErrorCode, words: Words, evidence: Evidence[]): CutoverError {
  return new CutoverError(code, words.message, { unchanged, ...wordsOf(words), evidence });
}

function workersEnd({ config }: RunSpec, instance: string, cause: Cause | undefined): Words {
  const why = cause === undefined ? " and print no reason" : `: ${cause.line}`;
  const unknown = fixOf(undefined, importOf(config.server.app), cause);
  return {
    message: sentence(`${instance} runs, but its workers end as soon as they start${why}`),
    fix: cause?.fix ?? (cause === undefined || cause.vague === true ? unknown : readLog),
    frame: cause?.frame,
  };
}

async function answered(
  context: DeployContext,
  spec: RunSpec,
  { instance, answer, asked }: Extract<StartFault, { kind: "answered" }>,
  { cause, logs }: { cause: Cause | undefined; logs: Evidence[] },
): Promise<CutoverError> {
  const { path, host, expect } = asked;
  const { status, body, location } = answer;
  const bodies = body.trim() === "" ? [] : [{ source: `response of ${instance.name}`, text: body }];
  const to = location === undefined ? "" : ` (to ${location})`;
  const said = `${instance.name} answered ${status}${to} to GET ${path} with Host ${host}${answer.broken === true ? ", and broke off in the middle of the page" : `; expected ${expect}`}.`;
  // The app has also written a redirect's address.
  const [first, ...rest] = await maskedEvidence(context.ports, spec.app, [{ source: "", text: said }, ...bodies]);
  const message = first?.text ?? said;
  if (sendsInCircles(answer, asked)) {
    const circle = `${instance.name} answered ${status} to GET ${path} and sends every visitor to https://${host}${path}, which is where the visitor was.`;
    return failure("health_failed", { message: circle, fix: circleFix }, [...rest, ...logs]);
  }
  // What a 404 says of the log is that nothing failed.
  const server = status >= 500 || answer.broken === true;
  const asked500 =
    status >= 500 && cause === undefined ? await djangoSays(context, spec, { answer, path, host }) : undefined;
  const why = server ? (cause ?? asked500?.cause) : undefined;
  const evidence = [...rest, ...(asked500?.evidence ?? []), ...logs];
  const words = sentence(`${message} ${why?.line ?? ownWords(status, rest[0]?.text)}`.trim());
  const fix = why?.fix ?? fixFor(answer, asked);
  return failure("health_failed", { message: words, fix, frame: why?.frame }, evidence);
}

/** What an app that knows that it is not well says of itself, if it is short and no page. */
function ownWords(status: number, body = ""): string {
  const text = body.replace(/\s+/g, " ").trim();
  const isOwn = status >= 400 && text !== "" && text.length <= 200 && !/<[a-z!]/i.test(text);
  return isOwn &&
    !/^\W*(?:\d{3}\b|(?:detail|message|error|title)\W+)?[\s:-]*(?:Internal Server Error|Service Unavailable|Server Error.*|Not Found|Bad Request.*|Forbidden|Unauthorized|Method Not Allowed|Invalid host header|Misdirected Request)\W*$/i.test(
      text,
    )
    ? `It says: ${text}`
    : "";
}

const circleFix =
  'The app does not see that the visitor came by HTTPS. For Django set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") in the settings: nginx sends that header.';

/** The check says that it comes by HTTPS, as nginx does. An answer that sends it to HTTPS of the same page never ends. */
export function sendsInCircles({ status, location, cookie }: Status, { host, path }: Asked): boolean {
  return status >= 300 && status < 400 && cookie !== true && location === `https://${host}${path}`;
}

function fixFor({ status, location, body, broken }: Status, { host, path }: Asked): string {
  if (broken === true) {
    return "The app failed when it had begun to answer, or its Content-Length is wrong: read its log, which is with this message.";
  }
  if (status === 400 || status === 421) return refusedHost(host, body);
  if (status === 404) {
    return `The app has no page at ${path} for the name ${host}: set \`health.path\` in cutover.yml to one that it has, or \`health.host\` if it answers to another name.`;
  }
  if (status === 405) {
    return `The page at ${path} takes no GET: set \`health.path\` in cutover.yml to one that does.`;
  }
  const login = location !== undefined && /log-?in|sign-?in|auth|account/i.test(location);
  if (status === 401 || status === 403 || login) {
    return "Set `health.path` to a page that needs no login, or widen `health.expect`.";
  }
  if (status >= 500 && isDjangoError(body)) return silentDjango;
  if (status >= 500)
    return "Read the app's log, which is with this message; set `health.path` if another page is a better check.";
  return "Set `health.path` in cutover.yml to a page that answers as expected, or widen `health.expect`.";
}

function refusedHost(host: string, body: string): string {
  const other = "or set `health.host` or `site.server_name` in cutover.yml to a name that it serves.";
  if (body.includes("Bad Request (400)")) {
    return `Django answers 400 when the Host is not in ALLOWED_HOSTS: add ${host} there, ${other}`;
  }
  if (body.trim() === "Invalid host header") {
    return `TrustedHostMiddleware refuses the Host: add ${host} to its \`allowed_hosts\`, ${other}`;
  }
  return `Most often an app refuses the Host so: add ${host} to ALLOWED_HOSTS (Django), \`allowed_hosts\` (Starlette) or TRUSTED_HOSTS (Flask), ${other}`;
}

async function unanswered(
  { ports }: DeployContext,
  spec: RunSpec,
  { instance, answer, asked }: Extract<StartFault, { kind: "no answer" }>,
  cause: Cause | undefined,
): Promise<Words> {
  const strays = await ports.privileged.strayListeners(spec).catch(() => []);
  const { path, timeout } = asked;
  return noAnswer({ instance: instance.name, answer, path, timeout, server: spec.config.server, cause, strays });
}
