import type { JWTPayload } from "jose";
import { importPublicLine, keyAlgorithm, keyIssuer, type TrustedKey } from "../../../shared/key.ts";
import type { Actor } from "../../../shared/protocol.ts";
import type { Trusted } from "../../settings-trust.ts";
import { expired } from "./expiry.ts";
import { Refusal, short } from "./refusal.ts";
import type { Signer } from "./signer.ts";
import { workflowRunOf } from "./workflow-run.ts";

/** Reading a public line takes longer than most checks, and must not show how many keys an app trusts. */
const imported = new Map<string, Promise<TrustedKey | undefined>>();
const mostImported = 1000;

function importOnce(line: string): Promise<TrustedKey | undefined> {
  const known = imported.get(line) ?? importPublicLine(line);
  if (imported.size >= mostImported) imported.clear();
  imported.set(line, known);
  return known;
}

/** The signer of tokens that a key made; undefined if the app trusts no key at all. */
export async function keySigner(trust: readonly Trusted[], kid: unknown, now: number): Promise<Signer | undefined> {
  const lines = trust.flatMap(({ key, ...entry }) => (key === undefined ? [] : [{ ...entry, key }]));
  if (lines.length === 0) return undefined;
  const keys = await Promise.all(lines.map(async (line) => ({ ...line, trusted: await importOnce(line.key) })));
  const meant = keys.filter((each): each is typeof each & { trusted: TrustedKey } => each.trusted?.kid === kid);
  return {
    // It has the key's id in it, so that the holder of one key cannot use up the tokens of another.
    name: String(meant[0]?.trusted.kid),
    issuer: keyIssuer,
    algorithm: keyAlgorithm,
    requiredClaims: [],
    async key() {
      const [first] = meant;
      if (first === undefined) throw new Refusal("key_unknown", { kid: short(kid), trusted: lines.length });
      return first.trusted.key;
    },
    async identify(claims) {
      const matched = meant.filter((entry) => expired(entry, now) === undefined);
      const [over] = meant.flatMap((entry) => expired(entry, now) ?? []);
      if (matched.length === 0) throw new Refusal("identity_mismatch", { ...over });
      return {
        actor: actorOf(claims),
        matched: matched.map(({ key, allow }) => ({ allow, trust: `key ${key.slice(0, shownKey)}...` })),
      };
    },
  };
}

/** Enough to find its entry by. */
const shownKey = "ed25519:".length + 10;

/** These claims are signed, but the key's holder chooses them: they are cut to a length, and only an https address counts as a run. */
function actorOf(claims: JWTPayload): Actor {
  const { sub, repository, run_url } = claims;
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value.slice(0, 300) : undefined);
  const run = text(run_url);
  const from = text(repository);
  return {
    subject: text(sub) ?? "holder of a key",
    ...(from !== undefined && { repository: from }),
    ...(run?.startsWith("https://") === true && { run_url: run }),
    run: workflowRunOf(claims),
  };
}
