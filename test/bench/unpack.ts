import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentClient } from "../../action/client/agent-client.ts";
import { keyTokens } from "../../action/tokens/key-tokens.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { DeploymentEvent } from "../../shared/protocol.ts";
import { print } from "../demo/show.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { freePorts } from "../harness/ports.ts";
import { runProgram } from "../harness/run.ts";
import { Scratch } from "../harness/scratch.ts";
import { type BigBundle, bigApp, makeBigBundle } from "./big-bundle.ts";
import { untilIdle } from "./machine.ts";
import { anonymousPeak, memoryOf, resetPeak } from "./memory.ts";
import type { Sizes } from "./sizes.ts";
import { count, memory, size, type Table, time, verdict } from "./table.ts";
import { median, reachedAt } from "./timeline.ts";

/** Milliseconds and bytes. */
export interface UnpackFigures {
  bundle: Omit<BigBundle, "path" | "digest">;
  rounds: { agent: number; tar: number; sums: number; peak: number; anonymousPeak: number }[];
  agent: number;
  tar: number;
  sums: number;
  /** The agent's time over that of the two programs one after the other. */
  ratio: number;
  /** After it had nothing to do for a while. */
  idle: { rss: number; anonymous: number };
  /** The most in any round, over what it held when idle. */
  peakOverIdle: number;
  anonymousPeakOverIdle: number;
  /** A while after the last round. */
  after: { rss: number; anonymous: number };
}

export const memoryTargets = { peakOverIdle: 64 * 1_048_576, idleAnonymous: 35 * 1_048_576 };

/** A bundle of 1 GB through a real upload, beside the ordinary programs that do the same to the same file. */
export async function measureUnpack({ idleMs: settleMs, unpack }: Sizes): Promise<UnpackFigures> {
  const { rounds, idleMs, afterMs, content } = unpack;
  await using scratch = new Scratch("big");
  await using agent = await startAgent({ name: "bench" });
  const key = await agent.newKey();
  await agent.addApp({ app: bigApp, key, ports: await freePorts(1) });
  const pid = agent.pid ?? 0;
  const idleTime = sleep(idleMs, undefined, { ref: false });
  const bundle = await makeBigBundle(scratch.path, content);
  print(`  packed ${count(bundle.files)} files: ${size(bundle.bytes)}, as a bundle ${size(bundle.packed)}`);
  await idleTime;
  const { rss, anonymous } = memoryOf(pid);
  print(`  the agent, idle for ${time(idleMs)}: ${memory(rss)}, of it anonymous ${memory(anonymous)}`);
  const measured: UnpackFigures["rounds"] = [];
  for (let round = 0; round < rounds; round++) {
    await untilIdle(settleMs);
    const own = await throughAgent(agent, key, bundle);
    await untilIdle(settleMs);
    const others = await throughPrograms(scratch.path, bundle.path);
    measured.push({ ...own, ...others });
    print(
      `  round ${round + 1} of ${rounds}: agent ${time(own.agent)}, zstd and tar ${time(others.tar)}, sha256sum ${time(others.sums)}`,
    );
  }
  await sleep(afterMs);
  const after = memoryOf(pid);
  const { files, bytes, packed } = bundle;
  return {
    bundle: { files, bytes, packed },
    rounds: measured,
    idle: { rss, anonymous },
    after,
    ...summary(measured, { rss, anonymous }),
  };
}

export function summary(rounds: UnpackFigures["rounds"], idle: UnpackFigures["idle"]) {
  return {
    agent: median(rounds.map((round) => round.agent)),
    tar: median(rounds.map((round) => round.tar)),
    sums: median(rounds.map((round) => round.sums)),
    ratio: median(rounds.map(({ agent, tar, sums }) => agent / (tar + sums))),
    peakOverIdle: Math.max(...rounds.map(({ peak }) => peak)) - idle.rss,
    anonymousPeakOverIdle: Math.max(...rounds.map((round) => round.anonymousPeak)) - idle.anonymous,
  };
}

/** From the upload's start to the state `unpacked`: then every file is written and every hash was right. */
async function throughAgent(agent: EmbeddedAgent, key: Key, { path, digest }: BigBundle) {
  const pid = agent.pid ?? 0;
  const { signal } = new AbortController();
  const client = new AgentClient(new URL(agent.url));
  const tokens = await keyTokens({ signingKey: key.privatePem, env: {}, now: Date.now, mask: () => undefined });
  const tokenFor = (operation: Parameters<typeof tokens.token>[0]["operation"]) =>
    tokens.token({ host: client.host, app: bigApp, operation });
  resetPeak(pid);
  const begun = Date.now();
  const { result, anonymous } = await anonymousPeak(pid, () =>
    client.upload({
      app: bigApp,
      archive: { path, size: statSync(path).size, base: undefined },
      releaseCommand: false,
      firstHost: true,
      leaseMs: 0,
      leaseSecret: "x".repeat(43),
      allowOlder: false,
      waitMs: 0,
      token: () => tokenFor({ name: "deploy", digest }),
      onProgress: () => undefined,
      signal,
    }),
  );
  const { peak } = memoryOf(pid);
  const { deployment } = result;
  await client
    .abort(deployment, () => tokenFor({ name: "abort", deployment }), signal)
    .catch((thrown: unknown) => {
      // It may have ended by itself in between; what it has unpacked is removed all the same.
      if (!(thrown instanceof CutoverError && thrown.code === "already_cut_over")) throw thrown;
    });
  const events: DeploymentEvent[] = [];
  for await (const event of client.events(deployment, signal)) events.push(event);
  const unpacked = reachedAt(events, "unpacked");
  if (unpacked === undefined) throw new Error(`the bundle was not unpacked:\n${agent.log}`);
  return { agent: unpacked - begun, peak, anonymousPeak: anonymous };
}

async function throughPrograms(directory: string, bundle: string): Promise<{ tar: number; sums: number }> {
  const into = join(directory, "unpacked");
  mkdirSync(into);
  try {
    const tar = await timed(["sh", "-c", 'zstd -d -c -q "$1" | tar -x -C "$2"', "sh", bundle, into]);
    const sums = await timed(["sh", "-c", 'find "$1" -type f -print0 | xargs -0 sha256sum >/dev/null', "sh", into]);
    return { tar, sums };
  } finally {
    rmSync(into, { recursive: true });
  }
}

async function timed(argv: string[]): Promise<number> {
  const begun = performance.now();
  const { code, stderr } = await runProgram(argv);
  if (code !== 0) throw new Error(`${argv[2]} failed: ${stderr}`);
  return performance.now() - begun;
}

export function unpackTable(figures: UnpackFigures): Table {
  const { bundle, agent, tar, sums, ratio, idle, peakOverIdle, anonymousPeakOverIdle, after } = figures;
  return {
    title: `Verify and unpack a bundle of ${size(bundle.packed)}: ${count(bundle.files)} files, ${size(bundle.bytes)}`,
    head: ["what", "figure"],
    rows: [
      ["agent, from the upload's start to unpacked", time(agent)],
      ["zstd -d | tar -x", time(tar)],
      ["sha256sum of the files", time(sums)],
      ["agent against the two together", `${ratio.toFixed(2)} times`],
      ["agent's peak memory, over idle", memory(peakOverIdle)],
      ["of it anonymous", memory(anonymousPeakOverIdle)],
      ["agent, idle, anonymous", memory(idle.anonymous)],
      ["agent, idle, resident with Node's own program", memory(idle.rss)],
      ["agent, half a minute after the work, anonymous", memory(after.anonymous)],
    ],
    notes: [
      `${verdict(peakOverIdle <= memoryTargets.peakOverIdle, "Target at most 64 MB over idle")};`,
      `${verdict(idle.anonymous <= memoryTargets.idleAnonymous, "at most 35 MB idle and anonymous")}.`,
      `Times are medians of ${figures.rounds.length} rounds, memory the most of all.`,
    ],
  };
}
