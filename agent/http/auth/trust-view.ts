import type { TrustView } from "../../../shared/protocol.ts";
import type { Apps } from "../../contracts/ports.ts";
import type { PinnedRepositories, PinnedRepository } from "../../contracts/token-stores.ts";
import type { GithubTrust } from "../../settings-trust.ts";
import type { GithubIssuer } from "../../settings-values.ts";

/** Shows the host's owner whom an app trusts, with the ids that were learnt of repositories trusted by name. */
export class TrustBook {
  readonly #apps: Pick<Apps, "settings">;
  readonly #learnt: PinnedRepositories;
  readonly #issuers: readonly GithubIssuer[];

  constructor(apps: Pick<Apps, "settings">, learnt: PinnedRepositories, issuers: readonly GithubIssuer[]) {
    this.#apps = apps;
    this.#learnt = learnt;
    this.#issuers = issuers;
  }

  /** @throws CutoverError app_not_found, host_settings_invalid */
  async view(app: string): Promise<TrustView> {
    const { trust } = await this.#apps.settings(app);
    const learnt = await this.#learnt.list(app);
    return {
      app,
      trust: trust.map(({ key, github, comment, expires, allow }) => ({
        allow,
        ...(key !== undefined && { key }),
        ...(comment !== undefined && { comment }),
        ...(expires !== undefined && { expires }),
        ...(github !== undefined && { github: this.#repository(github, learnt) }),
      })),
    };
  }

  /** Removes the ids that were learnt for an app, when the app is removed. */
  forget(app: string): Promise<void> {
    return this.#learnt.forget(app);
  }

  #repository(trust: GithubTrust, all: PinnedRepository[]) {
    const issuer = trust.issuer ?? this.#issuers[0]?.issuer ?? "";
    const learnt = all.find((each) => each.issuer === issuer && each.repository === trust.repository);
    const { repository_id = learnt?.repository_id, owner_id = learnt?.owner_id } = trust;
    const whole = trust.repository_id !== undefined && trust.owner_id !== undefined;
    return {
      repository: trust.repository,
      issuer,
      ...(repository_id !== undefined && { repository_id }),
      ...(owner_id !== undefined && { owner_id }),
      ...(!whole && learnt !== undefined && { learnt: learnt.learnt }),
      ...(trust.environment !== undefined && { environment: trust.environment }),
      ...(trust.ref !== undefined && { ref: trust.ref }),
      ...(trust.any_ref && { any_ref: true }),
      ...(trust.workflow !== undefined && { workflow: trust.workflow }),
      ...(trust.job_workflow !== undefined && { job_workflow: trust.job_workflow }),
      ...(trust.runner !== undefined && { runner: trust.runner }),
      ...(trust.ref_protected && { ref_protected: true }),
      events: trust.events,
    };
  }
}
