import { type AppView, calls, type RequestsView } from "../../shared/protocol.ts";
import { Colours } from "./colours.ts";
import { Follower } from "./follower.ts";
import { type Sample, Samples } from "./samples.ts";
import type { PageSource } from "./source.ts";
import type { Words } from "./words.ts";

/** All that the page of one app shows, at one time. */
export interface AppLook {
  view: AppView;
  samples: Sample[];
  colours: Colours;
  /** Output and notices of the last deployment. */
  lines: string[];
  words: Words;
  /** Milliseconds since the epoch. */
  now: number;
}

/** What the part of the visitors needs. */
export type VisitorsLook = Pick<AppLook, "samples" | "colours" | "words" | "now">;

export interface AppLine {
  view: AppView;
  requests: RequestsView | undefined;
}

/** What the page has seen of the host so far, for all browsers that are open. */
export class Looks {
  readonly samples: Samples;
  readonly #source: PageSource;
  readonly #follower: Follower;
  readonly #colours = new Map<string, Colours>();

  constructor(source: PageSource) {
    this.#source = source;
    const { agent, now } = source;
    this.samples = new Samples({
      now,
      apps: async () => (await agent.call(calls.apps, {})).apps,
      requests: (app, seconds) => agent.call(calls.requests, { app }, { query: { seconds } }),
    });
    this.#follower = new Follower(source);
  }

  /** @throws CutoverError as the agent's calls do */
  async app(app: string, words: Words): Promise<AppLook> {
    const view = await this.#source.agent.call(calls.app, { app });
    const colours = this.#colours.get(app) ?? new Colours();
    this.#colours.set(app, colours);
    for (const { id } of view.releases.toReversed()) colours.of(id);
    const lines = view.deployment === null ? [] : this.#follower.lines(view.deployment);
    return { view, samples: this.samples.of(app), colours, lines, words, now: this.#source.now() };
  }

  /** @throws CutoverError as the agent's calls do */
  async apps(): Promise<AppLine[]> {
    const { agent } = this.#source;
    const { apps } = await agent.call(calls.apps, {});
    const views = await Promise.all(apps.map((app) => agent.call(calls.app, { app })));
    return views.map((view) => ({ view, requests: this.samples.latest(view.app) }));
  }
}
