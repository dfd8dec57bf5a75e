import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HelperHost } from "../../harness/helper-host.ts";
import { processId } from "../../harness/processes.ts";
import { idsOf, listenForHelper, users } from "../../harness/two-processes.ts";

/** Who may ask the helper, and what remains of one whose caller is gone. */
let host: HelperHost;

beforeEach(async () => {
  host = await HelperHost.open();
});
afterEach(() => host?.[Symbol.asyncDispose]());

/** Another user, in the agent's group: the socket lets them through. */
const stranger = () => {
  const [{ uid }, { gid }] = [idsOf(users.otherApp), idsOf(users.agent)];
  return ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--inh-caps=-all", "--"];
};

async function untilHelpers(count: number): Promise<number> {
  const running = () => host.helpers().filter((pid) => processId(pid) !== undefined).length;
  for (const end = Date.now() + 20_000; running() > count && Date.now() < end; ) await sleep(50);
  return running();
}

describe("T10 who connected is what the kernel recorded:", () => {
  test("the agent is answered by a helper that is told nothing", async () => {
    const talk = host.talk();
    expect(await talk.done("runs", { app: "shop" })).toEqual([]);
  });

  // What newer systemds put into %i, and what somebody might want it to be.
  test.each(["3-4711_87123-1", "3-5210-4711_87123-1", "", "0-1-65534"])(
    "the agent is answered where the unit's instance is %j",
    async (name) => {
      host.socket = await listenForHelper(host.scratch, host.directory, ["--peer", name]);
      expect(await host.talk().done("runs", { app: "shop" })).toEqual([]);
    },
  );

  test.each(["0-1-0", `0-1-${idsOf(users.agent).uid}`])(
    "another user is not answered where the unit's instance is %j",
    async (name) => {
      host.socket = await listenForHelper(host.scratch, host.directory, ["--peer", name]);
      const talk = host.talk(stranger());
      await talk.ended;
      expect(talk.answers).toEqual([]);
    },
  );
});

describe("a caller that is gone keeps no lock:", () => {
  test("T1 a request that hangs in the kernel ends with its caller, and the next one is answered", async () => {
    const secrets = join(host.etc, "apps/shop.env");
    rmSync(secrets);
    execFileSync("mkfifo", [secrets]);
    const talk = host.talk();
    await talk.answer(({ helper }) => helper !== undefined);
    void talk.ask("maskSecrets", { app: "shop", texts: ["text"] });
    await sleep(300);
    talk.kill();
    expect(await host.talk().done("runs", { app: "shop" })).toEqual([]);
  }, 40_000);

  test("a helper that waits for its turn ends with its caller", async () => {
    const talk = host.talk();
    await talk.done("runs", { app: "shop" });
    const alone = host.helpers().length;
    const waiting = Array.from({ length: 3 }, () => host.talk());
    waiting[0]?.write('{"id":1,"method":"runs",');
    for (const end = Date.now() + 10_000; host.helpers().length < alone + 6 && Date.now() < end; ) await sleep(50);
    for (const each of waiting) each.kill();
    expect(await untilHelpers(alone)).toBe(alone);
    await talk.done("runs", { app: "shop" });
  }, 40_000);
});
