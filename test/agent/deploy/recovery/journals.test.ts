import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { type AppState, mayHaveCutOver, runsInUse } from "../../../../agent/deploy/state.ts";
import { loadState } from "../../../../agent/deploy/state-format.ts";
import { isAtLeast } from "../../../../shared/deployment-states.ts";
import { releaseOfRun } from "../../../../shared/names.ts";
import { digestOf, manifestOf } from "../../../fakes/deploy-request.ts";
import { FakeHost } from "../../../fakes/ports.ts";

/**
 * state.json as agents left it that the torture killed: `node test/torture/main.ts --once --journals DIR` writes them.
 * Those of an earlier format stay when the format changes. One is of an agent that was asked to end.
 */
const directory = fileURLToPath(new URL("../../../fixtures/journals", import.meta.url));
const silent = pino({ level: "silent" });

/** The host that such a journal tells of, with all that may have been there at that moment. */
function hostOf(state: AppState): FakeHost {
  const host = new FakeHost();
  const releases = state.releases.map((record) => ({ ...record, digest: digestOf(record.id) }));
  host.disk.state.set("shop", JSON.stringify({ ...state, releases }));
  const at = state.journal?.deployment.state ?? "done";
  for (const { id, state: how } of state.releases) {
    if (how === "failed" || (how === "unpacked" && !isAtLeast(at, "unpacked"))) continue;
    host.disk.releases.set(id, manifestOf(id, { keep_warm: "0s" }));
  }
  for (const run of runsInUse(state)) {
    if (run !== state.journal?.run || run === state.staged?.run || isAtLeast(at, "released"))
      host.disk.programs.add(run);
  }
  host.disk.slots = `${state.live}:60`;
  return host;
}

test.each(readdirSync(directory))("%s is finished or undone, and the next deploy works", async (file) => {
  const before = await loadState({ load: async () => JSON.parse(readFileSync(join(directory, file), "utf8")) }, "shop");
  const host = hostOf(before);
  const agent = new Deployments({ ports: host.ports, log: silent });
  await agent.recoverAll();
  const left = before.journal?.onward !== undefined;
  if (left) await agent.settled(before.journal?.deployment.id ?? "", 10_000, new AbortController().signal);
  const after = await loadState(host.ports.states, "shop");
  expect(after).toMatchObject({ journal: null, held: null, warm: null });
  expect(after.live).toBe(left || mayHaveCutOver(before) ? before.journal?.run : before.live);
  expect(host.disk.slots).toContain(`${after.live}:`);
  expect([...host.disk.programs].toSorted()).toEqual(runsInUse(after).toSorted());
  expect(host.disk.releases.has(releaseOfRun(after.live ?? ""))).toBe(true);

  const next = "20991121T110000Z-1234567";
  const { deployment } = await agent.deploy("shop", host.request(next, { keep_warm: "0s" }));
  const view = await agent.settled(deployment, 10_000, new AbortController().signal);
  expect(view).toMatchObject({ outcome: "succeeded" });
  expect(host.disk.slots).toBe(`${next}:60`);
});
