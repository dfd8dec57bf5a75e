import { type Audience, formatAudience } from "../shared/audience.ts";
import { CutoverError } from "../shared/errors.ts";
import { type Claims, importPrivateKey, signToken } from "../shared/key.ts";

/**
 * Where tokens come from: a key today. GitHub's OIDC is a second implementation of this, asked with the same audience;
 * `run.ts` asks for each token only when it is needed, since GitHub's live five minutes.
 */
export interface TokenSource {
  /** A token for one call on one host. @throws CutoverError */
  token(audience: Audience): Promise<string>;
}

export interface TokenSourceRequest {
  signingKey: string;
  env: NodeJS.ProcessEnv;
  now(): number;
  /** Keeps a secret out of the log. */
  mask(secret: string): void;
}

/** @throws CutoverError signing_key_invalid */
export async function tokenSource({ signingKey, env, now, mask }: TokenSourceRequest): Promise<TokenSource> {
  if (signingKey === "") {
    throw new CutoverError("signing_key_invalid", "There is no signing key.", {
      unchanged: "Nothing was sent.",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the line of a workflow, as it must stand there
      fix: "Make one with `cutover keygen`, store the private half as a secret of the repository or its environment, and pass it: `signing-key: ${{ secrets.CUTOVER_SIGNING_KEY }}`. A workflow from a fork gets no secrets.",
    });
  }
  const key = await importPrivateKey(signingKey);
  const claims = claimsOf(env);
  return {
    async token(audience) {
      const token = await signToken(key, formatAudience(audience), claims, now());
      mask(token);
      return token;
    },
  };
}

/** Who asks, as GitHub's environment says it. */
export function claimsOf(env: NodeJS.ProcessEnv): Claims {
  const repository = env.GITHUB_REPOSITORY ?? "";
  const run = env.GITHUB_RUN_ID ?? "";
  if (repository === "") return { sub: env.USER ?? "action" };
  const ref = env.GITHUB_REF ?? "";
  return {
    sub: ref === "" ? repository : `${repository}@${ref}`,
    repository,
    ...(run !== "" && {
      run_url: `${env.GITHUB_SERVER_URL ?? "https://github.com"}/${repository}/actions/runs/${run}`,
    }),
  };
}
