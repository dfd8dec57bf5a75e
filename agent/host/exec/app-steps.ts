import { maskUrls } from "../../../shared/mask.ts";
import type { AgentSettings } from "../../settings.ts";
import type { AppUser } from "../ownership/users.ts";
import { confined, sandboxTools } from "./sandbox.ts";
import { runStep, type StepRequest } from "./step.ts";

export interface AppStepsOptions {
  limits: AgentSettings["limits"];
  launcher: { node: string; file: string };
}

/** Runs commands of builds and releases as the app's user, confined as far as this host and this user allow. */
export class AppSteps {
  readonly #options: AppStepsOptions;

  constructor(options: AppStepsOptions) {
    this.#options = options;
  }

  /** Runs a step of a build. cutover sets its environment. @returns its exit code @throws CutoverError aborted, timed_out */
  async build({ other }: AppUser, asked: StepRequest): Promise<number> {
    const { limits } = this.#options;
    // It gets none of the app's secrets, but a requirements file may hold URLs with a password.
    const step = { ...asked, onLine: (line: string) => asked.onLine(maskUrls(line)) };
    const how = { user: other, network: step.network ?? false, limits };
    return runStep(confined(step, how, await sandboxTools()));
  }

  /** Runs a command of the repository. Its environment holds the repository's values and the app's secrets. */
  async command({ other }: AppUser, step: StepRequest): Promise<number> {
    const { limits, launcher } = this.#options;
    return runStep(confined(step, { user: other, network: true, limits, launcher }, await sandboxTools()));
  }
}
