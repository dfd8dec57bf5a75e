import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { configSchema } from "../../shared/config.ts";
import { keysOf } from "../../shared/schema-keys.ts";

/** For each key of cutover.yml the test that sees its effect in nginx, in supervisor or in the app: file and title. */
const host = "test/agent/host";
const nginx = `${host}/nginx`;
const effects: Record<string, [file: string, title: string]> = {
  app: ["test/e2e/main-job.test.ts", "under load, again and again"],
  "server.kind": [`${host}/server-kinds.test.ts`, "the environment's own uwsgi is taken"],
  "server.app": ["test/e2e/server-kinds.test.ts", "changes from one version to the next"],
  "server.command": ["test/e2e/other-ways.test.ts", "any program that serves HTTP on a socket"],
  "server.instances": ["test/e2e/other-ways.test.ts", "any program that serves HTTP on a socket"],
  "server.workers": [`${host}/server-kinds.test.ts`, "$name on a $bind answers, comes back when it is killed"],
  "server.threads": [`${host}/server-kinds.test.ts`, "$name on a $bind answers, comes back when it is killed"],
  "server.config_file": [`${host}/server-files.test.ts`, "uwsgi.ini counts, but not where it listens"],
  "server.bind": ["test/e2e/server-kinds.test.ts", "from a socket to a port, and back"],
  "server.interface": [`${host}/supervisor/servers.test.ts`, "granian: what it speaks"],
  "server.protocol": ["test/e2e/server-kinds.test.ts", "from HTTP to the uwsgi protocol, and back"],
  "health.path": [`${host}/net/health.test.ts`, "one request, as nginx would send it"],
  "health.host": [`${host}/net/health.test.ts`, "one request, as nginx would send it"],
  "health.expect": ["test/agent/deploy/deploy.test.ts", "is undone and the old one goes on"],
  "health.timeout": ["test/agent/deploy/deploy.test.ts", "nothing that a visitor sees changes until"],
  "python.version": [`${host}/python/environments.test.ts`, "for a Python that the host lacks"],
  "python.wheels": [`${host}/python/environments.test.ts`, "gets the vendored wheels, and only those"],
  "python.requirements": [
    `${host}/python/environments.test.ts`,
    "comes from the repository's requirements in mode index",
  ],
  "python.extra": ["test/action/python/wheels.test.ts", "include python.extra, also without a requirements file"],
  "python.system_site_packages": [
    `${host}/python/environments.test.ts`,
    "sees the distribution's packages only when asked",
  ],
  "static[].url": [`${nginx}/files.test.ts`, "static: files of the live release"],
  "static[].collect": ["test/action/project/collectstatic.test.ts", "are collected without a shell"],
  "static[].from": ["test/action/project/collectstatic.test.ts", "are collected without a shell"],
  "static[].fallback": [`${nginx}/visits.test.ts`, "a single-page app: its page wherever there is no file"],
  "static[].except": [`${nginx}/visits.test.ts`, "a single-page app: its page wherever there is no file"],
  "static[].expires": [`${nginx}/files.test.ts`, "static: files of the live release"],
  "static[].immutable": [`${nginx}/files.test.ts`, "names that only look hashed are not immutable"],
  "static[].gzip_static": [`${nginx}/files.test.ts`, "gzip_static: the compressed file beside it"],
  "shared[].path": ["test/e2e/shared-paths.test.ts", "starts with the database of the project"],
  "shared[].url": [`${nginx}/files.test.ts`, "shared: files that outlive releases"],
  "shared[].from": [`${nginx}/files.test.ts`, "shared: files that outlive releases"],
  "shared[].expires": [`${nginx}/files.test.ts`, "shared: files that outlive releases"],
  "shared[].internal": [`${nginx}/visits.test.ts`, "only the app's X-Accel-Redirect leads to the files"],
  site: [`${nginx}/effects.test.ts`, "site none: only the upstream"],
  "site.listen": [`${nginx}/effects.test.ts`, "several addresses, and names"],
  "site.server_name": [`${nginx}/effects.test.ts`, "several addresses, and names"],
  "site.https_redirect": [`${nginx}/tls.test.ts`, "https_redirect false: both serve"],
  "site.client_max_body_size": [`${nginx}/effects.test.ts`, "client_max_body_size: one byte more is 413"],
  "site.client_body_timeout": [`${nginx}/effects.test.ts`, "client_body_timeout: a body that stops"],
  "site.proxy_connect_timeout": [`${nginx}/full-site.test.ts`, "a site with everything, exactly"],
  "site.proxy_read_timeout": [`${nginx}/effects.test.ts`, "proxy_read_timeout: a silent instance is 504"],
  "site.proxy_send_timeout": [`${nginx}/full-site.test.ts`, "a site with everything, exactly"],
  "site.proxy_buffering": [`${nginx}/effects.test.ts`, "proxy_buffering off: what an instance writes"],
  "site.proxy_request_buffering": [`${nginx}/effects.test.ts`, "proxy_request_buffering"],
  "site.proxy_intercept_errors": [`${nginx}/files.test.ts`, "proxy_intercept_errors: the page replaces"],
  "site.upgrade": [`${nginx}/websockets.test.ts`, "upgrade: a WebSocket gets through"],
  "site.gzip": [`${nginx}/effects.test.ts`, "gzip: text of 1 kB and more"],
  "site.add_header": [`${nginx}/effects.test.ts`, "add_header: on every response"],
  "site.error_page": [`${nginx}/files.test.ts`, "error_page: a file of the live release"],
  "site.access_log": [`${nginx}/site-logs.test.ts`, "access_log and error_log"],
  "site.redirects": [`${nginx}/visits.test.ts`, "redirects: names are sent on to another one"],
  "site.hsts.max_age": [`${nginx}/visits.test.ts`, "hsts: by https alone, once, in nginx's word"],
  "site.hsts.include_subdomains": [`${nginx}/visits.test.ts`, "hsts: by https alone, once, in nginx's word"],
  "site.hsts.preload": [`${nginx}/visits.test.ts`, "hsts: by https alone, once, in nginx's word"],
  "site.limit_req.rate": [`${nginx}/visits.test.ts`, "limit_req: too many requests of one address get 429"],
  "site.limit_req.burst": [`${nginx}/visits.test.ts`, "limit_req: too many requests of one address get 429"],
  "site.balance": [`${nginx}/upstream-config.test.ts`, "each gets its share of real requests"],
  "site.weight": [`${nginx}/upstream-config.test.ts`, "each gets its share of real requests"],
  "site.peers[].server": [`${nginx}/upstream-config.test.ts`, "each gets its share of real requests"],
  "site.peers[].weight": [`${nginx}/upstream-config.test.ts`, "each gets its share of real requests"],
  "site.peers[].backup": [`${nginx}/upstream-config.test.ts`, "a backup is asked only when nothing else answers"],
  "site.preview.listen": ["test/e2e/gray.test.ts", "is looked at on its own address and by cookie"],
  "site.preview.cookie": ["test/e2e/gray.test.ts", "is looked at on its own address and by cookie"],
  "site.preview.header": [`${nginx}/preview.test.ts`, "preview by cookie and by header"],
  "release.command": ["test/e2e/several-hosts.test.ts", "the release command runs once, on the first"],
  "release.timeout": [`${host}/exec/step.test.ts`, "ends at its time limit"],
  "processes.*.command": ["test/e2e/processes.test.ts", "no job is lost or cut over several deploys"],
  "processes.*.instances": [`${host}/supervisor/processes.test.ts`, "a process runs as the web instances do"],
  "processes.*.overlap": ["test/e2e/processes.test.ts", "beat is never there twice"],
  "processes.*.hosts": ["test/e2e/several-hosts.test.ts", "a process for the first host runs on no other"],
  "processes.*.stop_signal": [`${host}/supervisor/programs-file.test.ts`, "the file of a process, exactly"],
  "processes.*.stop_timeout": [`${host}/supervisor/processes.test.ts`, "a process that does not end in time is killed"],
  "processes.*.stay_up": ["test/agent/deploy/steps/processes.test.ts", "new processes are proven before the cutover"],
  "rollout.parallel": ["test/action/hosts/waves.test.ts", "are the canary hosts, and then so many hosts at a time"],
  "rollout.canary_hosts": ["test/action/hosts/waves.test.ts", "come one after the other, each when the one before"],
  "rollout.pause": ["test/action/hosts/waves.test.ts", "end a pause when a host's watch fails in it"],
  "rollout.max_failures": ["test/action/hosts/waves.test.ts", "go on when a host fails in its %s, if it may"],
  env: ["test/hostile/cutover-yml.test.ts", "a program gets its words and its environment exactly"],
  "drain.timeout": ["test/agent/deploy/deploy.test.ts", "requests that are still open at the drain limit"],
  keep: ["test/agent/deploy/deploy.test.ts", "only `keep` good releases stay"],
  keep_warm: ["test/agent/deploy/deploy.test.ts", "a rollback within keep_warm starts nothing"],
  watch: [
    "test/agent/deploy/watch/live-watch.test.ts",
    "an instance that was restarted while it is watched counts at once",
  ],
  judge: ["test/agent/judge/release-judge.test.ts", "the limits of cutover.yml"],
  "judge.errors": ["test/agent/judge/release-judge.test.ts", "is not worse by less than the limit"],
  "judge.latency": ["test/agent/judge/release-judge.test.ts", "that is three times as slow is worse"],
  "judge.confidence": ["test/agent/judge/release-judge.test.ts", "the limits of cutover.yml"],
  "judge.requests": ["test/agent/judge/release-judge.test.ts", "is not judged by fewer than 50 requests"],
  exclude: ["test/action/project/walk.test.ts", "and what is excluded"],
};

test("every key of cutover.yml has a test that sees its effect, and no other stands here", () => {
  expect(Object.keys(effects)).toEqual(keysOf(configSchema).map(({ path }) => path));
});

test.each(Object.entries(effects))("the test for %s is there", (_key, [file, title]) => {
  const titles = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => /\b(?:test|it)(?:\.each)?\(|^\s*(?:\]\)\()?["`']/.test(line));
  expect(
    titles.some((line) => line.includes(title)),
    `${file}: ${title}`,
  ).toBe(true);
});
