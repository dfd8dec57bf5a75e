import { PeerHost } from "./host.ts";
import type { OpenTool, Tool } from "./tool.ts";

/** What of a working copy belongs to nobody but its machine. */
export const excluded = ["/staticfiles/", "__pycache__/", "/.git/"].flatMap((name) => ["--exclude", name]);

/** @param release where it goes on the host. Files go over ssh, as deltas. */
export async function copyTo(host: PeerHost, project: string, release: string, options: string[] = []): Promise<void> {
  const shell = host.ssh.join(" ");
  await host.run([
    "rsync",
    "-a",
    "--delete",
    ...excluded,
    ...options,
    "-e",
    shell,
    `${project}/`,
    `127.0.0.1:${release}/`,
  ]);
}

/** The steps on the host that every tool has: requirements into an environment, static files to where they are served. */
export function buildSteps(host: PeerHost, release: string): string {
  const python = host.path("venv/bin/python");
  return [
    `test -x ${python} || /usr/bin/python3 -m venv ${host.path("venv")}`,
    `cd ${release}`,
    `${host.pip} ${python} -m pip install -q --disable-pip-version-check -r requirements.txt`,
    `${python} manage.py collectstatic --noinput --verbosity 0`,
  ].join(" && ");
}

/** The shell script that most have: rsync into the directory that runs, then a restart. */
export const openRsync: OpenTool = async (write) => {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await PeerHost.start("rsync"));
  const project = host.path("project");
  write(project);
  const directory = host.path("market");
  const update = async () => {
    await copyTo(host, project, directory);
    await host.remote(buildSteps(host, directory));
  };
  await update();
  await host.serve([{ name: "market", directory, autostart: true }]);
  const open = stack.move();
  return {
    project,
    url: host.url,
    get bytes() {
      return host.relay.bytes;
    },
    async deploy() {
      await update();
      await host.remote(`${host.supervisorctl} restart market:*`);
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  } satisfies Tool;
};
