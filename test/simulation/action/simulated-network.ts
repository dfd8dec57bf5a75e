import type { HttpAnswer, HttpCall, Transport } from "../../../action/client/http.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { toProblem } from "../../../shared/problem.ts";
import { protocolVersion } from "../../../shared/protocol.ts";
import type { SimulatedHost, Wait } from "./simulated-host.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What happens to one call. `ms` is used by those that take time. */
export interface Fault {
  kind:
    | "none"
    /** Nobody listens: the agent restarts. */
    | "refused"
    /** It never reaches the agent. */
    | "request lost"
    /** The agent does it, and the connection breaks before the answer. */
    | "answer lost"
    /** The agent does it, and nothing comes back. */
    | "silent"
    /** The agent does it, and a proxy answers for it. */
    | "gateway timeout"
    /** A proxy does not reach the agent. */
    | "bad gateway"
    /** The answer takes long. */
    | "slow"
    /** A stream breaks after `ms`. */
    | "cut";
  ms: number;
}

/** The host cannot be reached for some time. */
export interface Outage {
  fromMs: number;
  toMs: number;
}

export interface NetworkParts {
  host: SimulatedHost;
  time: VirtualTime;
  faults: Fault[];
  outages: Outage[];
}

/** The way to one host. Each call takes the next fault; after the last one there are none. */
export function simulatedNetwork({ host, time, faults, outages }: NetworkParts): Transport {
  const left = [...faults];
  return async (call) => {
    call.signal.throwIfAborted();
    const isAway = () => outages.some(({ fromMs, toMs }) => time.elapsed() >= fromMs && time.elapsed() < toMs);
    const fault = left.shift() ?? { kind: "none", ms: 0 };
    const caller = new AbortController();
    const work = async () => {
      await time.sleep(20);
      if (isAway() || fault.kind === "refused") throw broken("ECONNREFUSED");
      if (fault.kind === "request lost") return never(time, call.idleMs);
      if (fault.kind === "bad gateway") return answerOf(502, "<html>");
      const answered = answer(host, call, caller.signal);
      if (fault.kind === "answer lost")
        return answered.catch(() => undefined).then(() => Promise.reject(broken("ECONNRESET")));
      if (fault.kind === "silent") return answered.catch(() => undefined).then(() => never(time, call.idleMs));
      if (fault.kind === "gateway timeout") return answered.catch(() => undefined).then(() => answerOf(504, "<html>"));
      if (fault.kind === "slow") await time.sleep(fault.ms);
      const stream = await Promise.race([answered, never(time, call.idleMs)]);
      return fault.kind === "cut" ? cutOff(stream, time, fault.ms, call.signal) : withSignal(stream, call.signal);
    };
    // Who leaves is not waited for.
    return untilAborted(call.signal, work).catch((thrown: unknown) => {
      caller.abort();
      throw thrown;
    });
  };
}

function broken(code: string): Error {
  return Object.assign(new Error(code), { code });
}

async function never(time: VirtualTime, idleMs: number): Promise<never> {
  await time.sleep(idleMs);
  throw broken("ETIMEDOUT");
}

/** Rejects as soon as the signal is aborted, as a destroyed request does. */
async function untilAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const working = work();
  working.catch(() => undefined);
  try {
    return await Promise.race([working, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function answerOf(statusCode: number, body: string | AsyncGenerator<Buffer>): HttpAnswer {
  const chunks = typeof body === "string" ? [Buffer.from(body)] : body;
  return {
    statusCode,
    destroy: () => undefined,
    [Symbol.asyncIterator]: async function* () {
      yield* chunks;
    },
  };
}

function withSignal(answer: HttpAnswer, signal: AbortSignal): HttpAnswer {
  return { ...answer, [Symbol.asyncIterator]: () => stoppable(answer, signal) };
}

async function* stoppable(answer: HttpAnswer, signal: AbortSignal): AsyncGenerator<Buffer> {
  const chunks = answer[Symbol.asyncIterator]();
  for (;;) {
    const next = await untilAborted(signal, () => chunks.next());
    if (next.done === true) return;
    yield next.value;
  }
}

function cutOff(answer: HttpAnswer, time: VirtualTime, ms: number, job: AbortSignal): HttpAnswer {
  const cut = new AbortController();
  time.after(ms, () => cut.abort(broken("ECONNRESET")));
  return withSignal(answer, AbortSignal.any([job, cut.signal]));
}

async function answer(host: SimulatedHost, call: HttpCall, caller: AbortSignal): Promise<HttpAnswer> {
  const [, path = "", query = ""] = /^([^?]*)\??(.*)$/.exec(`${call.url.pathname}${call.url.search}`) ?? [];
  try {
    const events = /^\/v1\/deployments\/([^/]+)\/events$/.exec(path)?.[1];
    const params = new URLSearchParams(query);
    if (events !== undefined) {
      host.view(events);
      return answerOf(200, lines(host.follow(events, Number(params.get("after") ?? 0))));
    }
    const value = await resultOf(host, call, path, params, caller);
    return answerOf(200, JSON.stringify(value));
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    return answerOf(409, JSON.stringify(toProblem(thrown, 409)));
  }
}

async function* lines(events: ReturnType<SimulatedHost["follow"]>): AsyncGenerator<Buffer> {
  for await (const event of events) yield Buffer.from(event === "heartbeat" ? "\n" : `${JSON.stringify(event)}\n`);
}

async function resultOf(
  host: SimulatedHost,
  call: HttpCall,
  path: string,
  params: URLSearchParams,
  caller: AbortSignal,
): Promise<unknown> {
  const wait = { ms: Number(params.get("wait") ?? 0) * 1000, caller };
  const body = call.body?.kind === "json" ? JSON.parse(call.body.text) : {};
  if (path === "/healthz") {
    return { name: "cutover-agent", version: "1.0.0", protocol: protocolVersion - 1 + host.behaviour.protocol };
  }
  const [, , scope, id = "", part, release = "", verb] = path.split("/");
  if (scope === "deployments") return part === "abort" ? host.abort(id) : host.view(id);
  if (part === undefined) return host.appView();
  const begun = await begin(host, {
    part,
    release,
    verb,
    wait,
    body,
    leaseMs: Number(params.get("lease") ?? 0) * 1000,
  });
  return { deployment: begun.id, release: begun.release };
}

interface Beginning {
  part: string;
  release: string;
  verb: string | undefined;
  wait: Wait;
  leaseMs: number;
  body: { weight?: number; from?: string };
}

function begin(host: SimulatedHost, { part, release, verb, wait, leaseMs, body }: Beginning) {
  if (part === "rollback") return host.rollback(body.from, wait);
  if (part === "redeploy") return host.redeploy(wait);
  if (verb === "activate") return host.activate(release, body.weight ?? 100, wait);
  return host.deploy(newRelease, wait, leaseMs);
}

/** The release of the one bundle that all histories send. */
export const newRelease = "20261121T103000Z-3f2c1ab";
