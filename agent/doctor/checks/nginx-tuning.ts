import { milliseconds } from "../../../shared/duration.ts";
import type { HostFacts } from "../facts/facts.ts";
import { type Finding, warning } from "../finding.ts";
import { find, settingOf } from "../nginx-config.ts";

/** What stays in the owner's nginx.conf and costs visitors something there. What sites set themselves is not asked. */

type Advice = Pick<Finding, "what" | "why" | "fix">;

/** A time limit that a visitor who does nothing may use up. */
const longestWaitMs = 300_000;

/** Balancers keep an idle connection for a minute, and must be the first to close it. */
const balancerKeepsMs = 60_000;

const advice: ((facts: HostFacts) => Advice | undefined)[] = [
  function workers({ nginx, processors }) {
    const count = settingOf(nginx.configuration, "worker_processes") ?? "1";
    if (count !== "1" || processors === 1) return undefined;
    return {
      what: `nginx has one worker, and the host ${processors} processors.`,
      why: "All visitors share one processor for TLS, compression and files, and one slow disk read holds up all of them.",
      fix: `Write \`worker_processes auto;\` at the top of ${nginx.main}, and reload nginx.`,
    };
  },
  function sendfile({ nginx, apps }) {
    const files = apps.filter(({ live }) => live !== undefined && live.static.length + live.shared.length > 0);
    if (files.length === 0 || settingOf(nginx.configuration, "http", "sendfile") === "on") return undefined;
    return {
      what: `sendfile is off, and nginx sends files of ${files.map(({ app }) => app).join(", ")}.`,
      why: "nginx copies each file through a buffer of its own, which costs processor time.",
      fix: `Write \`sendfile on;\` and \`tcp_nopush on;\` into the http block of ${nginx.main}.`,
    };
  },
  function underscores({ nginx }) {
    if (settingOf(nginx.configuration, "http", "underscores_in_headers") !== "on") return undefined;
    return {
      what: "underscores_in_headers is on.",
      why: "To a Python app `X_Forwarded_For` is the same header as `X-Forwarded-For`, so a visitor can write what only nginx should.",
      fix: `Remove it from the http block of ${nginx.main}, or write it into the server that needs it alone.`,
    };
  },
  function realIp({ nginx, settings }) {
    const from = settingOf(nginx.configuration, "http", "set_real_ip_from");
    if (from === undefined || settings.trusted_proxies.length > 0) return undefined;
    return {
      what: `${nginx.main} believes ${from} who a visitor is (set_real_ip_from), and agent.yml names no trusted_proxies.`,
      why: "The app then has the visitor's address, but not whether he came by https: an app that sends visitors to https does so for ever.",
      fix: `Write them into agent.yml, \`trusted_proxies: [${from}]\`, and remove the lines from ${nginx.main}.`,
    };
  },
  function keepalive({ nginx, settings }) {
    const kept = duration(settingOf(nginx.configuration, "http", "keepalive_timeout"));
    if (settings.trusted_proxies.length === 0 || kept === undefined || kept > balancerKeepsMs) return undefined;
    return {
      what: `keepalive_timeout is ${kept / 1000} s, behind ${settings.trusted_proxies.join(", ")}.`,
      why: "A balancer that keeps connections for longer sends a request on one that nginx has just closed, and its visitor gets a 502.",
      fix: `Write a longer \`keepalive_timeout\` than the balancer's into the http block of ${nginx.main}, such as 75s.`,
    };
  },
  function waits({ nginx }) {
    const names = ["client_header_timeout", "client_body_timeout", "send_timeout"];
    const long = names.find((name) => (duration(settingOf(nginx.configuration, "http", name)) ?? 0) > longestWaitMs);
    if (long === undefined) return undefined;
    return {
      what: `${long} is more than ${longestWaitMs / 60_000} minutes.`,
      why: "A client that sends or reads nothing holds its connection for as long: a few thousand of them take all that nginx has.",
      fix: `Write 60s or less into the http block of ${nginx.main}; slow uploads do not need more, since it counts from one packet to the next.`,
    };
  },
  function hashes({ nginx }) {
    const [, name] = /could not build optimal (\w+_hash)/.exec(nginx.test?.output ?? "") ?? [];
    if (name === undefined) return undefined;
    return {
      what: `nginx says that its ${name} is too small for the sites of this host.`,
      why: "It costs a little at each request, and the line fills nginx's log at each reload.",
      fix: `Write \`${name}_max_size 8192;\` and \`${name}_bucket_size 128;\` into the http block of ${nginx.main}.`,
    };
  },
  function oldWorkers({ nginx, apps }) {
    const open = apps.filter(({ live }) => live !== undefined && live.site !== "none" && live.site.upgrade);
    const reloads = open.filter(({ live }) => live?.server.bind === "port");
    if (reloads.length === 0 || settingOf(nginx.configuration, "worker_shutdown_timeout") !== undefined)
      return undefined;
    return {
      what: `${reloads.map(({ app }) => app).join(", ")} has WebSockets and ports, and nginx no worker_shutdown_timeout.`,
      why: "Each deploy reloads nginx, and its old workers live as long as a visitor keeps a WebSocket open, each with all of its memory.",
      fix: `Write \`worker_shutdown_timeout 10m;\` at the top of ${nginx.main}, or \`bind: socket\` in cutover.yml, which needs no reload.`,
    };
  },
  function quic({ nginx, settings, processors }) {
    if (!settings.nginx.http3 || (settingOf(nginx.configuration, "worker_processes") ?? "1") === "1") return undefined;
    const words = find(nginx.configuration, "listen").map(({ directive }) => directive.args);
    const shared = words.filter((args) => args.includes("quic") && args.includes("reuseport")).map(([place]) => place);
    const alone = words.flatMap(([place = "", ...rest]) =>
      rest.includes("quic") && !shared.includes(place) ? [place] : [],
    );
    const [place] = alone;
    if (place === undefined || processors === 1) return undefined;
    return {
      what: `HTTP/3 on ${[...new Set(alone)].join(", ")} has no \`reuseport\`, and nginx several workers.`,
      why: "The packets of one connection then come to different workers, which drop them: visitors of HTTP/3 wait, and fall back.",
      fix: `Write a server with \`listen ${place} quic reuseport;\` into one file of yours that nginx includes: agent/host/nginx/README.md has it whole, at "HTTP/3".`,
    };
  },
  function quicReloads({ apps, settings }) {
    const reloads = apps.filter(({ live }) => live?.server.bind === "port" && live.site !== "none");
    if (!settings.nginx.http3 || reloads.length === 0) return undefined;
    return {
      what: `agent.yml has \`nginx.http3\`, and ${reloads.map(({ app }) => app).join(", ")} has \`bind: port\`.`,
      why: "Each of its deploys reloads nginx, which ends the connections of HTTP/3 on all sites: requests in hand fail.",
      fix: "Write `bind: socket` in its cutover.yml, which needs no reload, or remove `nginx.http3` from agent.yml.",
    };
  },
];

/** Milliseconds of nginx's time, which counts seconds without a unit; undefined for what is not written so simply. */
function duration(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,6}(?:ms|s|m|h|d)?$/.test(text)) return undefined;
  return milliseconds(/\d$/.test(text) ? `${text}s` : text);
}

export function nginxTuning(facts: HostFacts): Finding[] {
  if (facts.nginx.configuration.length === 0) return [];
  return advice.flatMap((look) => {
    const found = look(facts);
    return found === undefined ? [] : [warning("nginx-tuning", found)];
  });
}
