import { describe, expect, it } from "vitest";
import { stageAll } from "../../../action/hosts/rollout.ts";
import { never, refusal } from "../workspace.ts";
import { fleet, outcomes } from "./fleet.ts";

describe("the way to a host", () => {
  it("survives a lost connection while following, and misses or repeats no event", async () => {
    const { hosts, bundle, journal } = await fleet({ breakEventsAfter: 3 });
    await stageAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(journal).toContain("a events broken");
    expect(hosts[0]?.report.phases.map(({ name }) => name)).toEqual([
      "upload",
      "receive",
      "verify",
      "unpack",
      "build the environment",
      "release command",
      "start the instances",
      "health check",
    ]);
  });

  it("is tried again when a proxy has lost the agent, with another token", async () => {
    const { hosts, bundle, agents } = await fleet({ unavailable: 2 });
    await stageAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(outcomes(hosts)).toEqual(["staged"]);
    expect(agents[0]?.manifests).toHaveLength(1);
  });

  it("is tried again while an agent that has answered before is shutting down, for as long as an upgrade takes", async () => {
    const stopping = { status: 503, code: "agent_stopping", detail: "The agent is shutting down.", times: 7 } as const;
    const { hosts, bundle, agents } = await fleet({ refuseUpload: stopping });
    await hosts[0]?.check(never);
    await stageAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(outcomes(hosts)).toEqual(["staged"]);
    expect(agents[0]?.manifests).toHaveLength(1);
  });

  it("sends nothing of a bundle that is refused at its headers, and does not try again", async () => {
    const refuseUpload = {
      status: 409,
      code: "deployment_in_progress",
      detail: "shop is held by deploy x of y.",
    } as const;
    const { hosts, bundle, agents } = await fleet({ refuseUpload });
    const error = await refusal(() => stageAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(error).toMatchObject({ code: "deployment_in_progress", message: refuseUpload.detail });
    expect(agents[0]?.received).toBe(0);
    expect(agents[0]?.subjects).toHaveLength(1);
  });

  it("tells an agent that is not there, one of another version, and something else", async () => {
    const { hosts, agents } = await fleet({});
    await agents[0]?.close();
    expect((await refusal(() => hosts[0]?.check(never))).code).toBe("agent_unreachable");
    const newer = await fleet({ protocol: 2 });
    const error = await refusal(() => newer.hosts[0]?.check(never));
    expect(error).toMatchObject({ code: "agent_incompatible" });
    expect(error.message).toContain("version 9.9.9");
  });

  it("keeps the code of a newer agent in the message", async () => {
    const { hosts, bundle } = await fleet({
      failAt: { kind: "deploy", state: "built", failure: { code: "moon_phase", detail: "Not tonight." } },
    });
    const error = await refusal(() => stageAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(error.code).toBe("internal");
    expect(error.message).toContain("moon_phase");
  });
});
