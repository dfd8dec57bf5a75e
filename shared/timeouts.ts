import { type Config, siteOf } from "./config.ts";
import { siteSchema } from "./config-site.ts";
import { milliseconds } from "./duration.ts";
import type { ProjectFiles } from "./project-clues.ts";
import type { ProjectHint } from "./project-hints.ts";
import type { YamlPath } from "./yaml-faults.ts";

const warning = (path: YamlPath, message: string): ProjectHint => ({ severity: "warning", path, message });

/** What nginx waits unless somebody asks for more. */
const usualRead = milliseconds(siteSchema.parse({}).proxy_read_timeout);

/** gunicorn kills a worker that has been busy with one request for longer. */
const gunicornSeconds = 30;

/** Time limits that contradict each other: the shorter one ends what the longer one allows. */
export function timeoutHints(config: Config, project: Pick<ProjectFiles, "read">): ProjectHint[] {
  const { drain, server } = config;
  const { proxy_read_timeout: read, proxy_connect_timeout: connect } = siteOf(config);
  const long = milliseconds(read) > usualRead;
  const hints: ProjectHint[] = [];
  if (config.site === "none") return hints;
  if (long && milliseconds(drain.timeout) < milliseconds(read)) {
    hints.push(
      warning(
        ["drain", "timeout"],
        `is ${drain.timeout}, and site.proxy_read_timeout ${read}: a deploy cuts requests that nginx would wait for; write \`drain: { timeout: ${read} }\``,
      ),
    );
  }
  if (milliseconds(connect) > 75_000) {
    hints.push(
      warning(["site", "proxy_connect_timeout"], `is ${connect}, and the system gives up after about 75s in any case`),
    );
  }
  const own = project.read("gunicorn.conf.py") ?? "";
  if (long && server.kind === "gunicorn" && (server.threads ?? 1) === 1 && !/^(?:timeout|threads)\s*=/m.test(own)) {
    hints.push(
      warning(
        ["site", "proxy_read_timeout"],
        `is ${read}, and gunicorn kills a worker after ${gunicornSeconds}s with one request: write \`timeout = ${Math.ceil(milliseconds(read) / 1000)}\` into gunicorn.conf.py`,
      ),
    );
  }
  return hints;
}

/** Limits of what a deploy waits for, by key. */
export function waitLimits({ release, processes }: Config): { path: YamlPath; limit: string }[] {
  return [
    ...(release === undefined ? [] : [{ path: ["release", "timeout"], limit: release.timeout }]),
    ...Object.entries(processes).map(([name, { stop_timeout: limit }]) => ({
      path: ["processes", name, "stop_timeout"],
      limit,
    })),
  ];
}
