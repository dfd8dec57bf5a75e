import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** nginx is there, takes its configuration, and runs. */
export function nginxRuns({ nginx, settings }: HostFacts): Finding[] {
  const { test, pidFile, master } = nginx;
  if (test === undefined) {
    return [
      error("nginx-runs", {
        what: `nginx cannot be started as \`${settings.nginx.binary}\`.`,
        why: "It serves the sites.",
        fix: "Install it (`apt-get install nginx`), or set nginx.binary in agent.yml to its path, such as /usr/local/openresty/bin/openresty.",
      }),
    ];
  }
  // Not [alert]: that doctor's user may not write nginx's log says nothing about nginx.
  const messages = test.output
    .split("\n")
    .filter((line) => /\[(?:emerg|crit|warn)\]/.test(line))
    .map(plain);
  if (!test.ok) {
    const [message = "it does not say why"] = messages;
    const place = / in (\S+:\d+)$/.exec(message)?.[1];
    return [
      error("nginx-runs", {
        what: `nginx refuses its configuration: ${message}`,
        why: "No site can be written, and nginx would not start after a reboot.",
        fix: `${place === undefined ? "" : `Look at ${place}. `}${fixOf(message)}`,
      }),
    ];
  }
  // Of too many connections nginx-limits tells more.
  const other = messages.filter((message) => !message.includes("exceed open file resource limit"));
  const said = other.map((message) =>
    warning("nginx-runs", {
      what: `nginx warns about its configuration: ${message}`,
      why: /conflicting server name/.test(message)
        ? "Two sites want the same name on the same address, and only the first one gets its visitors."
        : "It goes on, but hardly as it was meant.",
      fix: "Correct it, and check with `nginx -t`.",
    }),
  );
  if (master !== undefined) return said;
  const stopped = error("nginx-runs", {
    what: `nginx is not running (pid file ${pidFile}).`,
    why: "The sites are down, and a deploy cannot give its release any traffic.",
    fix: "Start it: `systemctl start nginx`. If it runs all the same, its configuration is another one: set nginx.conf in agent.yml.",
  });
  return [...said, stopped];
}

function plain(line: string): string {
  return line.replace(/^.*?\[(?:emerg|crit|warn)\] /, "").replace(/^\d+#\d+: /, "");
}

function fixOf(message: string): string {
  if (message.includes("duplicate default server")) {
    return "Take one `default_server` out (on Debian: sites-enabled/default), or give the app a domain in its settings.";
  }
  if (message.includes("unknown directive"))
    return "Correct the name, or install the nginx module that has this directive.";
  return "Correct it, and check with `nginx -t`.";
}
