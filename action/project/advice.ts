import type { Job } from "../job.ts";
import { warnOf } from "./check-project.ts";
import { type DeployCheckContext, deployCheck } from "./deploy-check.ts";
import type { Noticed } from "./warning.ts";

/**
 * Starts to ask Django what visitors would notice, unless the files cannot be collected either. Nothing waits for it before the
 * job ends: it is advice, and no reason to fail.
 */
export function startAdvice(job: Job, context: DeployCheckContext, collecting: Promise<void>): void {
  const failed = new AbortController();
  collecting.catch((thrown: unknown) => failed.abort(thrown));
  const signal = AbortSignal.any([context.signal, failed.signal]);
  job.advice = deployCheck(job.config, { ...context, signal }).catch((thrown: unknown) => {
    if (!signal.aborted) job.effects.log.line(`Django's check said nothing: ${(thrown as Error).message}`);
    return [];
  });
}

/** What the hosts' environment may decide otherwise is no annotation: it would be there at each deploy. */
export async function sayAdvice(job: Job): Promise<void> {
  const noticed: Noticed[] = await job.advice;
  warnOf(
    job,
    noticed.filter(({ unsure }) => unsure !== true),
  );
  for (const { message } of noticed.filter(({ unsure }) => unsure === true)) {
    job.effects.log.line(`Unless the environment on the hosts says otherwise: ${message}.`);
  }
}
