import { formatAudience } from "../../shared/audience.ts";
import { type Claims, importPrivateKey, signToken } from "../../shared/key.ts";
import type { TokenSource } from "./token-source.ts";

export interface KeyTokensRequest {
  signingKey: string;
  env: NodeJS.ProcessEnv;
  now(): number;
  /** Keeps a secret out of the log. */
  mask(secret: string): void;
}

/** Tokens that this job signs with the key of the input `signing-key`. @throws CutoverError signing_key_invalid */
export async function keyTokens({ signingKey, env, now, mask }: KeyTokensRequest): Promise<TokenSource> {
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

/** Who asks, as GitHub's environment names it. */
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
    ...given({
      workflow_ref: env.GITHUB_WORKFLOW_REF,
      run_number: env.GITHUB_RUN_NUMBER,
      run_attempt: env.GITHUB_RUN_ATTEMPT,
    }),
  };
}

function given<K extends string>(values: Record<K, string | undefined>): { [Key in K]?: string } {
  const known = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return Object.fromEntries(known) as { [Key in K]?: string };
}
