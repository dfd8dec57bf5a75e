import { neededHash } from "../../host/nginx/refusal.ts";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** nginx is installed, accepts its configuration, and runs. */
export function nginxRuns({ nginx, settings }: HostFacts): Finding[] {
  const { test, pidFile, master } = nginx;
  if (test === undefined) {
    return [
      error("nginx-runs", {
        what: `nginx cannot be started as \`${settings.nginx.binary}\`.`,
        why: "nginx serves the sites. Without it no deploy works.",
        fix: "Install it (`apt-get install nginx`), or set nginx.binary in agent.yml to its path, such as /usr/local/openresty/bin/openresty.",
      }),
    ];
  }
  // Without [alert]: it may only mean that the user who runs doctor may not write nginx's log.
  const lines = test.output.split("\n").filter((line) => /\[(?:emerg|crit|warn)\]/.test(line));
  const messages = lines.map(plain);
  if (!test.ok) {
    // Warnings come first, and are not why.
    const reason = lines.find((line) => !line.includes("[warn]")) ?? lines[0];
    const message = reason === undefined ? "it gives no reason" : plain(reason);
    const place = / in (\S+:\d+)$/.exec(message)?.[1];
    return [
      error("nginx-runs", {
        what: `nginx refuses its configuration: ${message}`,
        why: "A deploy cannot write a site, and nginx would not start after a reboot.",
        fix: `${place === undefined ? "" : `Look at ${place}. `}${fixOf(message)}`,
      }),
    ];
  }
  // The check nginx-limits reports this one, with more details.
  const other = messages.filter((message) => !message.includes("exceed open file resource limit"));
  const said = other.map((message) =>
    warning("nginx-runs", {
      what: `nginx warns about its configuration: ${message}`,
      why: /conflicting server name/.test(message)
        ? "Two sites have the same name on the same address, and only the first one gets visitors."
        : "nginx runs, but probably not as intended.",
      fix: "Correct it, then check with `nginx -t`.",
    }),
  );
  if (master !== undefined) return said;
  const stopped = error("nginx-runs", {
    what: `nginx is not running (pid file ${pidFile}).`,
    why: "The sites are down, and a deploy cannot move traffic.",
    fix: "Start it: `systemctl start nginx`. If it does run, it uses another configuration: set nginx.conf in agent.yml to that file.",
  });
  return [...said, stopped];
}

function plain(line: string): string {
  return line.replace(/^.*?\[(?:emerg|crit|warn)\] /, "").replace(/^\d+#\d+: /, "");
}

function fixOf(message: string): string {
  if (message.includes("duplicate default server")) {
    return "Remove one `default_server` (on Debian: sites-enabled/default), or give the app a domain in its settings.";
  }
  const hash = neededHash(message);
  if (hash !== undefined)
    return `Write \`${hash}\` into the http block of nginx.conf: a name of a site is too long for nginx's table.`;
  if (message.includes("unknown directive"))
    return "Correct the name, or install the nginx module that has this directive.";
  return "Correct it, then check with `nginx -t`.";
}
