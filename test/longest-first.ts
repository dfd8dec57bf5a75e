import { BaseSequencer, type TestSpecification } from "vitest/node";

/** About how many seconds the slow files take on two cores; others take one or two. */
const slow: Record<string, number> = {
  "test/e2e/init.test.ts": 180,
  "test/e2e/failures.test.ts": 125,
  "test/hostile/trust/t7-memory.test.ts": 60,
  "test/lab/rollout.test.ts": 160,
  "test/e2e/server-kinds.test.ts": 140,
  "test/torture/torture.test.ts": 110,
  "test/lab/service.test.ts": 90,
  "test/e2e/processes.test.ts": 100,
  "test/e2e/main-job.test.ts": 70,
  "test/lab/power-off.test.ts": 60,
  "test/e2e/gray.test.ts": 55,
  "test/agent/host/server-kinds.test.ts": 50,
  "test/bench/smoke.test.ts": 130,
  "test/e2e/shut-down.test.ts": 45,
  "test/e2e/bad-releases.test.ts": 45,
  "test/simulation/conformance.test.ts": 45,
  "test/e2e/live-watch.test.ts": 40,
  "test/e2e/others-fail.test.ts": 95,
  "test/e2e/thin-bundles.test.ts": 35,
  "test/e2e/app-user.test.ts": 35,
  "test/e2e/bad-interruptions.test.ts": 30,
  "test/e2e/several-hosts.test.ts": 25,
  "test/e2e/two-processes.test.ts": 25,
  "test/e2e/upkeep.test.ts": 60,
  "test/e2e/bad-disk.test.ts": 45,
  "test/agent/host/privileged.test.ts": 20,
  "test/agent/host/python/environments.test.ts": 20,
  "test/e2e/agent-tls.test.ts": 19,
  "test/agent/host/bundle/refused-bundles.test.ts": 18,
  "test/action/python/wheels.test.ts": 17,
  "test/simulation/conformance-nginx.test.ts": 17,
  "test/e2e/canaries.test.ts": 15,
  "test/e2e/bad-hosts.test.ts": 15,
  "test/fixtures/shop.test.ts": 12,
  "test/agent/doctor/doctor.test.ts": 12,
  "test/simulation/simulation.test.ts": 12,
};

/** Starts the slow files first, so that none runs alone in the end, and gives each shard of `--shard` as much to do. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted(
      (a, b) =>
        a.project.config.sequence.groupOrder - b.project.config.sequence.groupOrder ||
        this.#secondsOf(b) - this.#secondsOf(a) ||
        a.moduleId.localeCompare(b.moduleId, "en"),
    );
  }

  override async shard(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { index, count } = this.ctx.config.shard ?? { index: 1, count: 1 };
    const shards = Array.from({ length: count }, () => ({ seconds: 0, files: [] as TestSpecification[] }));
    for (const file of await this.sort(files)) {
      const least = shards.reduce((best, each) => (each.seconds < best.seconds ? each : best));
      least.seconds += this.#secondsOf(file);
      least.files.push(file);
    }
    return shards[index - 1]?.files ?? [];
  }

  #secondsOf({ moduleId }: TestSpecification): number {
    return slow[moduleId.slice(this.ctx.config.root.length + 1)] ?? 1.5;
  }
}
