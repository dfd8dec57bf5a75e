import { PeerHost } from "./host.ts";
import { buildSteps, copyTo } from "./rsync.ts";
import type { OpenTool, Tool } from "./tool.ts";

/** In seconds: how long the group that had the traffic goes on after nginx's reload. */
const drain = 5;

/**
 * The better shell script: two groups of instances, of which one serves. The other gets the change, is started and asked, then
 * nginx's upstream is written and nginx reloaded, and the first is stopped after a while.
 */
export const openBlueGreen: OpenTool = async (write) => {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await PeerHost.start("colours"));
  const project = host.path("project");
  write(project);
  const directoryOf = (colour: string) => host.path(`market-${colour}`);
  let [live, idle] = ["blue", "green"];
  const update = async (colour: string) => {
    await copyTo(host, project, directoryOf(colour));
    await host.remote(buildSteps(host, directoryOf(colour)));
  };
  await update(live);
  // supervisord wants the directory of a program only when it starts it.
  const groups = [live, idle].map((name) => ({ name, directory: directoryOf(name), autostart: name === live }));
  await host.serve(groups);
  const open = stack.move();
  const ask = (socket: string) =>
    `curl -sf -o /dev/null --retry 100 --retry-delay 0 --retry-all-errors --max-time 10 -H 'Host: localhost' --unix-socket ${socket} http://localhost/version`;
  return {
    project,
    url: host.url,
    get bytes() {
      return host.relay.bytes;
    },
    async deploy() {
      await update(idle);
      const sockets = [0, 1].map((index) => host.path("run", `${idle}-${index}.sock`));
      await host.remote(
        [
          `${host.supervisorctl} start ${idle}:*`,
          ...sockets.map(ask),
          `printf '%s' '${host.upstreamOf(idle)}' > ${host.upstreamFile}`,
          host.reload,
          `sleep ${drain}`,
          `${host.supervisorctl} stop ${live}:*`,
        ].join(" && "),
      );
      [live, idle] = [idle, live];
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  } satisfies Tool;
};
