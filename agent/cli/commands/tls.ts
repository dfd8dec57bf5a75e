import type { Command } from "commander";
import prettyMs from "pretty-ms";
import { type CertificateView, calls } from "../../../shared/protocol.ts";
import { contextOf, newCommand } from "../context.ts";
import type { ViewOptions } from "../terminal/events.ts";
import { renderFitting } from "../terminal/table.ts";
import { type Style, safe, type Terminal } from "../terminal/terminal.ts";

/** `tls status` and `tls renew`: the certificates that the agent gets for sites with `tls: auto`. */
export function tlsCommand(terminal: Terminal): Command {
  return newCommand("tls", "show and renew the certificates of sites with `tls: auto`", "cutover tls status")
    .addCommand(statusCommand(terminal))
    .addCommand(renewCommand(terminal));
}

function statusCommand(terminal: Terminal): Command {
  return newCommand("status", "show each certificate, and why one did not come", "cutover tls status shop")
    .argument("[app]", "the app (default: all)")
    .action(async (app: string | undefined, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const { certificates } = await client.call(calls.certificates, {});
      const shown = certificates.filter((view) => app === undefined || view.app === app);
      context.show(shown, () => {
        if (shown.length > 0) return renderCertificates(shown, context.view());
        return `${app === undefined ? "No app" : safe(app)} has no \`tls: auto\` in its file. \`cutover doctor\` looks at every certificate.`;
      });
    });
}

function renewCommand(terminal: Terminal): Command {
  return newCommand("renew", "order a certificate now, for example after its names changed", "cutover tls renew shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls.renewCertificate, { app });
      context.show(view, () => renderCertificates([view], context.view()));
    });
}

/** A line for each site, and below them what went wrong. */
export function renderCertificates(
  views: CertificateView[],
  { style, now, width }: Pick<ViewOptions, "style" | "now" | "width">,
): string {
  const rows = views.map((view) => {
    const { app, names, certificate, renews } = view;
    return [
      safe(app),
      safe(names.join(" ")),
      stateOf(view, style, now),
      safe(certificate?.issuer ?? ""),
      certificate === undefined ? "" : `${certificate.expires.slice(0, 10)} (${until(certificate.expires, now)})`,
      renews === undefined ? "" : until(renews, now),
    ].map((cell) => cell.replaceAll("\n", " "));
  });
  const reasons = views.flatMap(({ app, failed }) =>
    failed === undefined
      ? []
      : [`${safe(app)}, ${failed.at.slice(0, 16).replace("T", " ")} UTC: ${safe(failed.reason).replaceAll("\n", " ")}`],
  );
  const table = renderFitting(["app", "names", "state", "issuer", "expires", "renewed"], rows, width);
  return [table, ...(reasons.length === 0 ? [] : ["", ...reasons])].join("\n");
}

function stateOf({ waits, failed, failures, next, certificate }: CertificateView, style: Style, now: number): string {
  if (waits !== undefined) return style("yellow", `waits for ${safe(waits)}`);
  if (failed !== undefined) return style("red", `failed ${failures}x, again ${until(next ?? failed.at, now)}`);
  if (certificate === undefined) return style("cyan", "ordered");
  return certificate.served ? style("green", "valid") : style("yellow", "nginx gets it after the running deployment");
}

function until(time: string, now: number): string {
  const left = Date.parse(time) - now;
  return left <= 0 ? "now" : `in ${prettyMs(left, { unitCount: 1 })}`;
}
