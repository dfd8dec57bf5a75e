import type { AppView } from "../../../shared/protocol.ts";
import { Colours } from "../colours.ts";
import { type Html, rendered } from "../html.ts";
import { type SampleSource, Samples } from "../samples.ts";
import { type Language, languages } from "../words.ts";
import { appParts, appsPart, type PublicLook } from "./parts.ts";
import { publicApp, publicRequests } from "./view.ts";

/** What the agent says of the apps that its owner publishes. */
export interface PublicSource extends SampleSource {
  /** @throws CutoverError app_not_found */
  app(app: string): Promise<AppView>;
}

/** Markup by the ids of its elements. */
export type Parts = Record<string, string>;

const everyMs = 1000;

/** What is seen of the host, looked up and rendered at most once a second, however many watch. */
export class PublicLooks {
  readonly apps: readonly string[];
  readonly samples: Samples;
  readonly #source: PublicSource;
  readonly #colours = new Map<string, Colours>();
  readonly #kept = new Map<string, { at: number; parts: Promise<Parts> }>();

  /** @param apps those that are published */
  constructor(source: PublicSource, apps: readonly string[]) {
    this.#source = source;
    this.apps = apps;
    this.samples = new Samples({
      now: () => source.now(),
      apps: async () => this.apps.slice(),
      async requests(app, seconds) {
        // An app that is not on the host must not keep the others from being counted.
        const view = await source.requests(app, seconds).catch(() => undefined);
        return view && publicRequests(view);
      },
    });
  }

  /** @param query what the links carry: empty, or the language that the reader has chosen */
  list(language: Language, query: string): Promise<Parts> {
    return this.#keep(`list ${language} ${query}`, async () => ({ apps: appsPart(await this.#all(language), query) }));
  }

  /** @param app one of those that are published @throws CutoverError app_not_found */
  app(app: string, language: Language): Promise<Parts> {
    return this.#keep(`app ${language} ${app}`, async () => appParts(await this.#look(app, language)));
  }

  async #all(language: Language): Promise<PublicLook[]> {
    const looks = await Promise.all(this.apps.map((app) => this.#look(app, language).catch(() => undefined)));
    return looks.filter((look) => look !== undefined);
  }

  async #look(app: string, language: Language): Promise<PublicLook> {
    const view = publicApp(await this.#source.app(app));
    const colours = this.#colours.get(app) ?? new Colours();
    this.#colours.set(app, colours);
    for (const { id } of view.releases.toReversed()) colours.of(id);
    const words = languages[language];
    return { view, colours, words, samples: this.samples.of(app), now: this.#source.now() };
  }

  #keep(key: string, make: () => Promise<Record<string, Html>>): Promise<Parts> {
    const at = this.#source.now();
    const kept = this.#kept.get(key);
    if (kept !== undefined && Math.abs(at - kept.at) < everyMs) return kept.parts;
    const parts = make().then(asTexts);
    this.#kept.set(key, { at, parts });
    return parts;
  }
}

async function asTexts(parts: Record<string, Html>): Promise<Parts> {
  const texts = Object.entries(parts).map(async ([id, markup]) => [id, await rendered(markup)] as const);
  return Object.fromEntries(await Promise.all(texts));
}
