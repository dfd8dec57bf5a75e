import { groupName } from "../../agent/host/supervisor/programs-file.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import type { ProgramState, ProgramsFile } from "./supervisord.ts";

const ended = new Set<ProgramState>(["STOPPED", "EXITED", "FATAL"]);

/** How programs come into supervisord and out of it, call by call as agent/host/supervisor/run-programs.ts does it. */
export class ProgramCalls {
  readonly #host: Host;
  readonly #effects: Effects;

  constructor(host: Host, effects: Effects) {
    this.#host = host;
    this.#effects = effects;
  }

  async add(group: string, file: ProgramsFile): Promise<void> {
    const { supervisord } = this.#host;
    const { app } = file;
    const before = supervisord.files.get(group);
    this.#host.watcher.starting(app, file.run, file.addresses);
    await this.#effects.do("programs.write", app, () => supervisord.files.set(group, file));
    try {
      await this.#effects.do("programs.reload", app, () => supervisord.reloadConfig());
      await this.#effects.do("programs.add", app, () => supervisord.addProcessGroup(group));
    } catch (thrown) {
      if (before === undefined) await this.#effects.do("programs.unlink", app, () => supervisord.files.delete(group));
      throw thrown;
    }
    await this.#effects.do("programs.start", app, () => supervisord.startProcessGroup(group));
  }

  /** Stops, waits for the end, and leaves nothing in supervisord nor in its files. */
  async drop(app: string, run: string, process: string | undefined): Promise<void> {
    const { supervisord } = this.#host;
    const group = groupName(app, run, process);
    await this.#stop(app, group);
    await this.#effects.do("programs.unlink", app, () => supervisord.files.delete(group));
    try {
      await this.#effects.do("programs.reload", app, () => supervisord.reloadConfig());
    } catch (thrown) {
      if (!(thrown instanceof CutoverError && thrown.code === "supervisor_config_broken")) throw thrown;
    }
    const removed = () => this.#effects.do("programs.remove", app, () => supervisord.removeProcessGroup(group));
    while ((await removed()) === "running") await this.#stop(app, group);
  }

  /** By the programs files and the launch files. */
  owners(app: string): { run: string; process: string }[] {
    const found = new Map<string, { run: string; process: string }>();
    for (const file of this.#host.supervisord.files.values()) {
      if (file.app !== app || file.process === undefined) continue;
      found.set(`${file.run} ${file.process}`, { run: file.run, process: file.process });
    }
    for (const [run, processes] of this.#host.disk(app).launches) {
      for (const process of processes) found.set(`${run} ${process}`, { run, process });
    }
    return [...found.values()];
  }

  async #stop(app: string, group: string): Promise<void> {
    const { supervisord, timeline, watcher } = this.#host;
    const deadline = timeline.elapsed + (supervisord.files.get(group)?.stopMs ?? 10_000) + 10_000;
    for (;;) {
      const programs = (await this.#effects.ask("ask.programs", app, () => supervisord.info(group))) ?? [];
      if (programs.every(({ state }) => ended.has(state))) return;
      if (programs.some(({ state }) => !ended.has(state) && state !== "STOPPING")) {
        await this.#effects.do("programs.stop", app, () => {
          watcher.stopping(group);
          supervisord.stopProcessGroup(group);
        });
      }
      if (timeline.elapsed > deadline) throw new CutoverError("internal", `supervisord could not stop ${group}.`);
      await this.#effects.wait(50);
    }
  }
}
