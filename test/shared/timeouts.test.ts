import { expect, test } from "vitest";
import { configSchema } from "../../shared/config.ts";
import { timeoutHints } from "../../shared/timeouts.ts";

function hints(parts: object, gunicornConf?: string): string[] {
  const config = configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop:app" }, ...parts });
  const read = (path: string) => (path === "gunicorn.conf.py" ? gunicornConf : undefined);
  return timeoutHints(config, { read }).map(({ path, message }) => `${path.join(".")} ${message}`);
}

test("time-outs that contradict each other are warned of, with what to write", () => {
  expect(hints({})).toEqual([]);
  const site = { proxy_read_timeout: "360s" };
  expect(hints({ site })).toEqual([
    expect.stringMatching(
      /^drain.timeout is 30s, and site.proxy_read_timeout 360s: a deploy cuts .*drain: \{ timeout: 360s \}/,
    ),
    expect.stringMatching(/^site.proxy_read_timeout is 360s, and gunicorn kills a worker after 30s .*`timeout = 360`/),
  ]);
  expect(hints({ site, drain: { timeout: "6m" } }, "workers = 2\ntimeout = 400\n")).toEqual([]);
  expect(hints({ site, drain: { timeout: "6m" }, server: { kind: "uvicorn", app: "shop:app" } })).toEqual([]);
  expect(hints({ site: { proxy_connect_timeout: "90s" } })[0]).toContain("the system gives up after about 75s");
  expect(hints({ site: "none", drain: { timeout: "1s" } })).toEqual([]);
});
