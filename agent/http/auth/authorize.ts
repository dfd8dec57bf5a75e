import type { Operation } from "../../../shared/audience.ts";
import type { Actor } from "../../../shared/protocol.ts";
import type { Logger } from "../../logger.ts";
import { type Call, type CheckParts, verify } from "./checks.ts";
import type { GithubParts } from "./github-signer.ts";
import { operatorActor } from "./operator.ts";
import { publicError, Refusal } from "./refusal.ts";

export type { Wanted } from "./checks.ts";

export interface Authorized {
  actor: Actor;
  /** What the token was signed for; undefined for a local operator, who may do anything. */
  operation: Operation | undefined;
}

/** @throws CutoverError unauthorized, forbidden */
export type Authorize = (call: Call) => Promise<Authorized>;

export interface TokenAuthorizerOptions extends Omit<CheckParts, "now" | "github"> {
  github: Pick<GithubParts, "issuers" | "keys" | "learnt">;
  logger: Logger;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/** Verifies tokens, on one path for every call and signer. The reason for a refusal goes to the log, never to the caller. */
export function tokenAuthorizer({ logger, now = Date.now, github, ...options }: TokenAuthorizerOptions): Authorize {
  const onLearnt: GithubParts["onLearnt"] = (app, learnt) =>
    logger.warn(
      { app, ...learnt },
      "first call of a repository that is trusted by name: from now on only these ids count",
    );
  const parts: CheckParts = { ...options, now, github: { ...github, now, onLearnt } };
  return async (call) => {
    using clock = new RefusalClock();
    try {
      return await verify({ call, parts });
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const { reason, details } = thrown;
      logger.warn({ reason, app: call.app, wanted: call.wanted.name, ...details }, "token refused");
      const error = publicError(thrown);
      if (error.code === "unauthorized") await clock.tick;
      throw error;
    }
  };
}

/** For the admin socket: whoever may open it may call. */
export function localOperator(): Authorize {
  return async ({ operator }) => ({ actor: operatorActor(operator), operation: undefined });
}

const refusalStepMs = 25;

/**
 * What proves nothing is refused at a multiple of 25 ms from the call's begin. The checks do the same work for an app that the
 * host does not have, but not to the microsecond: one reads a file, the other finds none. The timer is started before
 * anything is known of the call, so that not even its rounding depends on it.
 */
class RefusalClock implements Disposable {
  #next = Promise.withResolvers<void>();
  readonly #timer = setInterval(() => {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }, refusalStepMs);

  /** Resolves at the next multiple. */
  get tick(): Promise<void> {
    return this.#next.promise;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
