import { Site } from "../site.ts";
import { CountingRelay } from "./relay.ts";
import type { OpenTool, Tool } from "./tool.ts";

/** cutover itself: the built Action and agent, over plain HTTP, so that what it sends is counted as it is. */
export const openCutover: OpenTool = async (write) => {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await Site.open("market"));
  write(site.project.path);
  const relay = stack.use(await CountingRelay.start(() => Number(new URL(site.agent.url).port)));
  const hosts = `http://127.0.0.1:${relay.port}`;
  await site.agent.changeAgentSettings({ names: [new URL(hosts).host] });
  await site.act({ hosts });
  const open = stack.move();
  return {
    project: site.project.path,
    url: site.url,
    get bytes() {
      return relay.bytes;
    },
    async deploy() {
      await site.act({ hosts });
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  } satisfies Tool;
};
