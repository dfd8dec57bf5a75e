import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createLocalJWKSet, errors, type JSONWebKeySet, type LocalJWKSet } from "jose";
import { z } from "zod";
import { milliseconds } from "../../../shared/duration.ts";
import { parseJson } from "../../../shared/plain-json.ts";
import type { IssuerKey, IssuerKeys } from "../../contracts/token-stores.ts";
import type { GithubIssuer } from "../../settings-values.ts";
import { type FetchLimits, fetchJson } from "../net/fetch-json.ts";
import { removeUnfinished, writeDurably } from "../store/durable.ts";

export interface IssuerKeysOptions {
  data: string;
  issuers: readonly GithubIssuer[];
  /** Called if an issuer cannot be asked, or its keys cannot be saved. `detail` is for the log. */
  onTrouble?: (issuer: string, detail: string) => void;
  now?: () => number;
  times?: Partial<KeyTimes>;
}

export interface KeyTimes {
  /** Younger keys are used without asking the issuer. */
  freshMs: number;
  /** How long after an answer the issuer is not asked again, even for unknown keys. */
  cooldownMs: number;
  /** The same after a failure. */
  retryMs: number;
  fetch: FetchLimits;
}

const usualTimes: KeyTimes = {
  freshMs: 3_600_000,
  cooldownMs: 30_000,
  retryMs: 5000,
  fetch: { ms: 5000, bytes: 256 * 1024 },
};

/** Only what RS256 needs. Other members, such as certificates, are dropped. */
const keySet = z.object({
  keys: z
    .array(
      z.object({
        kty: z.string(),
        kid: z.string().optional(),
        use: z.string().optional(),
        alg: z.string().optional(),
        n: z.string().optional(),
        e: z.string().optional(),
      }),
    )
    .min(1)
    .max(100),
});
const keptKeys = z.object({ issuer: z.string(), jwks: z.string(), fetched: z.number(), keys: keySet });

/** The public keys of the issuers in agent.yml. They are saved on disk, for when an issuer cannot be reached. */
export class IssuerKeyFiles implements IssuerKeys {
  readonly #sets: Map<string, IssuerKeySet>;

  constructor(options: IssuerKeysOptions) {
    this.#sets = new Map(options.issuers.map((issuer) => [issuer.issuer, new IssuerKeySet(issuer, options)]));
  }

  async find(issuer: string, kid: string): Promise<IssuerKey> {
    return (await this.#sets.get(issuer)?.find(kid)) ?? { kind: "unknown" };
  }
}

interface Kept {
  /** When the issuer answered, in milliseconds since the epoch. */
  fetched: number;
  select: LocalJWKSet;
}

class IssuerKeySet {
  readonly #issuer: string;
  readonly #url: string;
  readonly #file: string;
  readonly #maxAgeMs: number;
  readonly #times: KeyTimes;
  readonly #now: () => number;
  readonly #onTrouble: (detail: string) => void;
  #loaded: Promise<void> | undefined;
  #kept: Kept | undefined;
  #asking: Promise<void> | undefined;
  #asked: { at: number; failure: string | undefined } | undefined;

  constructor(issuer: GithubIssuer, { data, onTrouble = () => {}, now = Date.now, times }: IssuerKeysOptions) {
    this.#issuer = issuer.issuer;
    this.#url = issuer.jwks ?? `${issuer.issuer}/.well-known/jwks`;
    // An issuer's address may be long and have any characters.
    const name = createHash("sha256").update(this.#issuer).digest("hex").slice(0, 16);
    this.#file = join(data, "issuer-keys", `${name}.json`);
    this.#maxAgeMs = milliseconds(issuer.keys_age);
    this.#times = { ...usualTimes, ...times };
    this.#now = now;
    this.#onTrouble = (detail) => onTrouble(this.#issuer, detail);
  }

  /** Asks the issuer if the key is unknown or the keys are no longer fresh. After a failure the old keys still count. */
  async find(kid: string): Promise<IssuerKey> {
    this.#loaded ??= this.#load();
    await this.#loaded;
    const known = this.#isYounger(this.#times.freshMs) ? await this.#select(kid) : undefined;
    if (known !== undefined) return { kind: "key", key: known };
    await this.#ask();
    if (!this.#isYounger(this.#maxAgeMs)) {
      const old = this.#kept === undefined ? "it never answered" : "what it said before is too old";
      return { kind: "unavailable", detail: `${this.#url}: ${this.#asked?.failure ?? "not asked again yet"}; ${old}` };
    }
    const key = await this.#select(kid);
    return key === undefined ? { kind: "unknown" } : { kind: "key", key };
  }

  async #select(kid: string) {
    try {
      return await this.#kept?.select({ alg: "RS256", kid });
    } catch (thrown) {
      if (thrown instanceof errors.JWKSNoMatchingKey || thrown instanceof errors.JWKSMultipleMatchingKeys)
        return undefined;
      throw thrown;
    }
  }

  /** If the clock was set back, keys seem to come from the future. Then their distance counts as their age. */
  #isYounger(ms: number): boolean {
    return this.#kept !== undefined && Math.abs(this.#now() - this.#kept.fetched) < ms;
  }

  /** At most one request at a time, and none soon after the last one: a flood of made-up key ids asks once. */
  async #ask(): Promise<void> {
    const { cooldownMs, retryMs } = this.#times;
    if (this.#asking === undefined && this.#asked !== undefined) {
      const pause = this.#asked.failure === undefined ? cooldownMs : retryMs;
      if (Math.abs(this.#now() - this.#asked.at) < pause) return;
    }
    this.#asking ??= this.#fetch().finally(() => {
      this.#asking = undefined;
    });
    await this.#asking;
  }

  async #fetch(): Promise<void> {
    let failure: string | undefined;
    try {
      const keys = keySet.parse(await fetchJson(this.#url, this.#times.fetch));
      this.#keep(keys, this.#now());
      await this.#save(keys);
    } catch (thrown) {
      failure = thrown instanceof z.ZodError ? "its answer is no set of keys" : reasonOf(thrown);
      this.#onTrouble(`${this.#url}: ${failure}`);
    }
    this.#asked = { at: this.#now(), failure };
  }

  #keep(keys: z.output<typeof keySet>, fetched: number): void {
    this.#kept = { fetched, select: createLocalJWKSet(keys as JSONWebKeySet) };
  }

  /** Keys that cannot be saved still count: the issuer has just sent them. */
  async #save(keys: z.output<typeof keySet>): Promise<void> {
    const kept = { issuer: this.#issuer, jwks: this.#url, fetched: this.#kept?.fetched, keys };
    try {
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeDurably(this.#file, `${JSON.stringify(kept)}\n`, 0o600);
    } catch (thrown) {
      this.#onTrouble(`its keys cannot be saved: ${reasonOf(thrown)}`);
    }
  }

  /** A file that cannot be read, or is of another address, counts as none: then the issuer is asked. */
  async #load(): Promise<void> {
    await removeUnfinished(this.#file).catch(() => undefined);
    const text = await readFile(this.#file, "utf8").catch(() => "{}");
    const kept = keptKeys.safeParse(parseJson(text)).data;
    if (kept?.issuer === this.#issuer && kept.jwks === this.#url) this.#keep(kept.keys, kept.fetched);
  }
}

/** Of a GitHub Enterprise Server with a certificate of the company's, or of a proxy that opens connections. */
const unknownAuthority =
  "the agent does not know who signed its certificate: if it is an authority of yours, run `systemctl edit cutover-agent`, write `[Service]` and `Environment=NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt` (or the file with its certificate), then `systemctl restart cutover-agent`";

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { code = thrown.message } = thrown as NodeJS.ErrnoException;
  return /^(?:SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(code) ? `${code}; ${unknownAuthority}` : code;
}
