import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { judgeOfWatch } from "../../../../agent/deploy/watch/visitors-judge.ts";
import { requestFile } from "../../../../agent/host/nginx/request-log.ts";
import { Periods } from "../../../../agent/host/requests/periods.ts";
import { RequestCounts } from "../../../../agent/host/requests/request-counts.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import { setClock, v1, v2 } from "../../host/requests/counting-host.ts";
import { scratch, testConfig, testSpec } from "../../host/scratch.ts";

const links = "unix:/apps/shop/slots/";
const led = (run: string) => ({ runs: [run], links, slots: "0".repeat(60), ports: {} });

/** A judge of v2, half of whose requests fail; none of v1's did. The lines are written here, and read by the agent's own code. */
async function failing() {
  const clock = setClock();
  const places = requestPlaces(scratch());
  const file = requestFile(places, "shop");
  mkdirSync(dirname(file), { recursive: true });
  // An agent was here a moment ago, so nothing is lost.
  await new Periods(places.periods).allow(clock.now());
  const options = { apps: async () => ["shop"], rotate: async () => undefined, onTrouble: () => undefined };
  const requests = new RequestCounts({ places, clock, ...options });
  onTestFinished(() => requests.close());
  await requests.start();
  const write = (time: number, status: number) =>
    appendFileSync(file, `${(time / 1000).toFixed(3)} ${status} 0.010 100 "${status}" "0.010" "${links}00" ""\n`);
  await requests.moving("shop", led(v1));
  await requests.moved("shop", { always: true });
  for (let n = 0; n < 200; n++) write(clock.now() - 100 * n, 200);
  await requests.read("shop");
  await requests.moving("shop", led(v2));
  await requests.moved("shop", { always: false });
  await sleep(100);
  const run = { spec: testSpec(testConfig(), v2), baseline: v1, since: clock.now() };
  const judge = judgeOfWatch({ requests }, run, { looks: 20, wasCanary: false });
  const look = async () => {
    for (let n = 0; n < 60; n++) write(clock.now(), n % 2 === 0 ? 500 : 200);
    await sleep(300);
    return judge?.look();
  };
  return { clock, look };
}

test("without that, it is taken back", async () => {
  const { look } = await failing();
  await look();
  expect(await look()).toMatchObject({ kind: "worse", by: "errors" });
});

test.each([
  ["back", -3600_000],
  ["forward", 3600_000],
  ["back by minutes", -120_000],
])("a clock that is set %s in the middle of a watch: not judged, until its end", async (_way, by) => {
  const { clock, look } = await failing();
  await look();
  clock.off = by;
  for (let n = 0; n < 4; n++) expect(await look()).toEqual({ kind: "unjudged", why: "the host's clock was set" });
});
