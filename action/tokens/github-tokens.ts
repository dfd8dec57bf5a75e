import pRetry from "p-retry";
import { z } from "zod";
import { formatAudience } from "../../shared/audience.ts";
import { CutoverError } from "../../shared/errors.ts";
import { parseJson } from "../../shared/plain-json.ts";
import { call, readText } from "../client/http.ts";
import type { TokenSource } from "./token-source.ts";

export interface GithubTokensRequest {
  env: NodeJS.ProcessEnv;
  /** Keeps a secret out of the log. */
  mask(secret: string): void;
  times?: Partial<AskTimes>;
}

interface AskTimes {
  /** The limit for one answer, and the limit for a token with all retries. */
  answerMs: number;
  tokenMs: number;
  retries: number;
  /** Before the first retry; each later pause is twice as long. */
  firstDelayMs: number;
}

const usualTimes: AskTimes = { answerMs: 10_000, tokenMs: 45_000, retries: 5, firstDelayMs: 500 };

const answer = z.object({ value: z.string().regex(/^[\w-]+\.[\w-]+\.[\w-]+$/) });

/**
 * ID tokens that GitHub signs for this job: no secret is stored anywhere. core.getIDToken is not used: it prints the
 * command that masks the token, and while a host's output has stopped the runner's commands that would show the token.
 * @throws CutoverError id_token_unavailable if the workflow may not ask for one
 */
export function githubTokens({ env, mask, times }: GithubTokensRequest): TokenSource {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: address = "", ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer = "" } = env;
  if (address === "" || bearer === "" || !URL.canParse(address)) throw notPermitted(env);
  const { answerMs, tokenMs, retries, firstDelayMs } = { ...usualTimes, ...times };

  async function ask(url: URL, signal: AbortSignal): Promise<string> {
    const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
    const response = await call({ method: "GET", url, headers, idleMs: answerMs, signal });
    const text = await readText(response, 64 * 1024);
    if (response.statusCode !== 200) throw new Unanswered(`HTTP ${response.statusCode}`, response.statusCode ?? 0);
    const parsed = answer.safeParse(parseJson(text));
    if (!parsed.success) throw new Unanswered("an answer without a token", 0);
    mask(parsed.data.value);
    return parsed.data.value;
  }

  return {
    async token(audience) {
      // The address already has a query of GitHub's.
      const url = new URL(address);
      url.searchParams.set("audience", formatAudience(audience));
      // Not the job's own signal: a cancelled job still needs tokens for its aborts.
      const signal = AbortSignal.timeout(tokenMs);
      try {
        return await pRetry(() => ask(url, signal), {
          retries,
          minTimeout: firstDelayMs,
          shouldRetry: ({ error }) => isPassing(error),
          signal,
        });
      } catch (thrown) {
        throw unanswered(thrown, audience.host);
      }
    },
  };
}

class Unanswered extends Error {
  readonly status: number;
  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** A broken connection or a server that restarts may pass. A refusal does not. */
function isPassing(error: Error): boolean {
  return !(error instanceof Unanswered) || error.status >= 500 || error.status === 429;
}

function notPermitted({ GITHUB_EVENT_NAME: event = "", GITHUB_REPOSITORY: repository = "" }: NodeJS.ProcessEnv) {
  const lines = ["    environment: production", "    permissions:", "      contents: read", "      id-token: write"];
  const proposed = event.startsWith("pull_request")
    ? ` This run is for a ${event}. If that comes from a fork, GitHub gives it no ID token, whatever the workflow says, and no secret either. Deploy on a push, or by hand.`
    : "";
  return new CutoverError(
    "id_token_unavailable",
    `GitHub gives this job no ID token, and there is no signing key.${proposed}`,
    {
      unchanged: "Nothing was sent.",
      fix: `Add these four lines to the job in the workflow (and on each host: \`cutover app add APP --github ${repository === "" ? "OWNER/NAME" : repository} --environment production\`):\n${lines.join("\n")}\nWith a key instead: \`signing-key\` is empty here. Is the secret that it names there, in this repository or its environment?`,
    },
  );
}

function unanswered(thrown: unknown, host: string): CutoverError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const refused = thrown instanceof Unanswered && thrown.status >= 400 && thrown.status < 500;
  return new CutoverError("id_token_unavailable", `GitHub gave no ID token for ${host}: ${reason}.`, {
    unchanged: "Nothing was changed on this host by this call.",
    fix: refused
      ? "The job may have run longer than GitHub lets it ask for tokens. Run it again."
      : "Look at https://www.githubstatus.com, then run the job again.",
    cause: thrown,
  });
}
