import { createHmac } from "node:crypto";
import prettyMs from "pretty-ms";
import { releaseOfRun } from "../../shared/names.ts";
import { actorName, type DeploymentView } from "../../shared/protocol.ts";
import type { CertificateFailure } from "../contracts/certificates.ts";
import type { InstancesReport } from "../contracts/instances-report.ts";

/** What a receiver gets when a deployment ends. It has no evidence: that is output of the app, and may hold its secrets. */
export function jsonBody(view: DeploymentView, host: string): string {
  const { id, app, kind, release, weight, outcome, by, started, finished, phases, cut, drained, failure } = view;
  const { code, detail, unchanged, fix } = failure ?? {};
  const body = {
    event: outcome,
    host,
    app,
    deployment: id,
    kind,
    release,
    weight,
    by,
    started,
    finished,
    took: tookOf(view),
    phases,
    cut,
    drained,
    ...(failure !== undefined && { failure: { code, detail, unchanged, fix } }),
  };
  return JSON.stringify(body);
}

const words: Record<DeploymentView["kind"], string> = {
  deploy: "Deploy",
  activate: "Activation",
  redeploy: "Redeploy",
  rollback: "Rollback",
};

/** One message for an incoming webhook of Slack, Mattermost or Rocket.Chat. */
export function slackBody(view: DeploymentView, host: string): string {
  const { app, kind, release, weight, outcome, by, failure, cut = 0 } = view;
  const took = tookOf(view);
  const icon = {
    succeeded: ":white_check_mark:",
    staged: ":hourglass:",
    running: "",
    failed: ":x:",
    aborted: ":no_entry:",
  };
  const what = `${words[kind]} of *${slackText(app)}* on ${slackText(host)}`;
  const part = weight === undefined || weight === 100 ? "" : ` with ${weight} % of the traffic`;
  const time = took === undefined ? "" : ` in ${prettyMs(took)}`;
  const lines = [
    `${icon[outcome]} ${what}${part}: *${outcome}*${time}`,
    ...(release === undefined ? [] : [`Release \`${slackText(release)}\``]),
    `By ${slackText(actorName(by))}${by.run_url === undefined ? "" : `: <${slackLink(by.run_url)}|run>`}`,
    ...(cut === 0 ? [] : [`${cut} requests were cut`]),
    ...(failure === undefined ? [] : [`\`${slackText(failure.code)}\` ${slackText(failure.detail)}`]),
    ...(failure?.unchanged === undefined ? [] : [slackText(failure.unchanged)]),
  ];
  return JSON.stringify({ text: lines.join("\n") });
}

/** What a receiver gets when live instances do not run, and when they run again. */
export function jsonReport({ event, app, run, instances, since }: InstancesReport, host: string): string {
  return JSON.stringify({ event, host, app, run, release: releaseOfRun(run), since, instances });
}

/** The same as one message. */
export function slackReport({ event, app, run, instances, since }: InstancesReport, host: string): string {
  const names = instances.map(({ name, state }) => `\`${slackText(name)}\` (${state})`).join(", ");
  const where = `of *${slackText(app)}* on ${slackText(host)}`;
  const line =
    event === "instances_down"
      ? `:rotating_light: ${names} ${where}: *down* since ${since}`
      : `:white_check_mark: All live instances ${where} run again. Down since ${since}: ${names}`;
  return JSON.stringify({ text: `${line}\nRelease \`${slackText(releaseOfRun(run))}\`` });
}

/** A certificate that did not come, with the authority's words. */
export function certificateMessage(failure: CertificateFailure, kind: "json" | "slack", host: string): string {
  const { app, names, reason, failures, expires } = failure;
  const code = "certificate_failed";
  if (kind === "json") {
    return JSON.stringify({ event: code, host, app, names, failures, expires, failure: { code, detail: reason } });
  }
  const left = expires === undefined ? "The site has none yet." : `The present one expires on ${expires.slice(0, 10)}.`;
  const lines = [
    `:warning: No certificate for *${slackText(app)}* (${slackText(names.join(", "))}) on ${slackText(host)}. ${left}`,
    slackText(reason),
  ];
  return JSON.stringify({ text: lines.join("\n") });
}

/** HMAC-SHA256 in hex, over the timestamp, a dot and the body. A receiver computes it again from the bytes that it got. */
export function signature(secret: string, timestamp: number, body: string): string {
  return `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;
}

function tookOf({ started, finished }: DeploymentView): number | undefined {
  return finished === undefined ? undefined : Date.parse(finished) - Date.parse(started);
}

/** Escapes a text, so that nothing in it becomes a link, a mention or a command. */
function slackText(text: string): string {
  return text
    .slice(0, 1000)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("`", "'");
}

function slackLink(url: string): string {
  return encodeURI(url).replaceAll("|", "%7C").replaceAll("<", "%3C").replaceAll(">", "%3E");
}
