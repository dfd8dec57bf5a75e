import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reportedStates } from "../../shared/deployment-states.ts";
import { describeLab } from "./describe-lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";
import { SmallApp } from "./small-app.ts";

const events = "/var/lib/cutover/apps/shop/logs/deployments";
const points = reportedStates.filter((state) => state !== "done");

describeLab("the power of a host goes while a deployment", () => {
  let fleet: LabFleet;
  let live: string;
  let cutShort = 0;
  const app = new SmallApp();
  const host = () => fleet.hosts[0] as LabHost;

  beforeAll(async () => {
    fleet = await LabFleet.start(1);
    await fleet.install(host(), await fleet.package());
    await fleet.addShop(host());
    live = await app.deploy(host());
  }, 300_000);
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  /** Returns when a deployment that was not there before has come to this state. */
  async function reached(state: string, before: Set<string>): Promise<void> {
    // The first one is written down nowhere.
    if (state === "received") return sleep(15);
    const directory = host().path(events);
    for (;;) {
      const [file] = readdirSync(directory).filter((name) => !before.has(name));
      if (file !== undefined) {
        if (readFileSync(`${directory}/${file}`, "utf8").includes(`"state":"${state}"`)) return;
      }
      await sleep(1);
    }
  }

  test.each(points)(
    "is %s: after the boot the site serves the old release or the new one, and the next deploy works",
    async (state) => {
      const before = new Set(readdirSync(host().path(events)));
      const packed = await app.pack();
      const sent = app.send(host(), packed).then(
        () => 0,
        () => 1,
      );
      await reached(state, before);
      await host().powerOff();
      cutShort += await sent;
      await host().boot();
      expect([live, packed.release]).toContain((await fleet.firstVisit(host())).release);
      live = await app.deploy(host());
      expect(await fleet.firstVisit(host())).toMatchObject({ release: live });
      // Its own and nobody else's; supervisor calls one running that has been so for a second.
      const programs = async () => {
        const { stdout } = await host().run("supervisorctl", "status");
        return stdout
          .trim()
          .split("\n")
          .map((line) => line.split(/\s+/).slice(0, 2).join(" "));
      };
      const wanted = [0, 1].map((index) => `cutover-shop-${live}:web-${index} RUNNING`);
      await expect.poll(programs, { timeout: 20_000 }).toEqual(wanted);
    },
  );

  test("(and nearly all of them had not come to their end)", () => {
    // From `retired` it is only a moment.
    expect(cutShort).toBeGreaterThanOrEqual(points.length - 2);
  });
});
