import type { z } from "zod";
import { type BodyOf, type PathNames, pathOf, type QueryOf } from "../../shared/call.ts";
import { CutoverError } from "../../shared/errors.ts";
import { followEvents, type StreamFailure } from "../../shared/follow-events.ts";
import { parseJson } from "../../shared/plain-json.ts";
import {
  type Accepted,
  type AppView,
  calls,
  type DeploymentEvent,
  type DeploymentView,
  leaseHeader,
  protocolVersion,
} from "../../shared/protocol.ts";
import { realTime, sleep, type Time, unlessAborted } from "../runner/time.ts";
import {
  clockAhead,
  explain,
  hangsUp,
  incompatible,
  isAway,
  isPassing,
  knowsNoPath,
  lost,
  neverArrived,
  pathTooMany,
  Refusal,
  sameMajor,
  wantsTls,
} from "./agent-errors.ts";
import { type AttemptOptions, attempts } from "./attempts.ts";
import { type CallBody, call, type HttpAnswer, type HttpCall, readText, type Transport } from "./http.ts";
import { filesHeaders, type KnownManifests, type LiveFiles, noManifests, readFilesAnswer } from "./live-files.ts";
import { speaksTls } from "./speaks-tls.ts";
import { type ClientTiming, usualTiming } from "./timing.ts";
import { type Upload, uploadHeaders } from "./upload.ts";

/** The answer to a call that begins a deployment. */
export interface Begun extends Accepted {
  /** An earlier attempt had no answer, so it may have worked too. */
  repeated: boolean;
}

/** The calls that begin a deployment without a bundle. */
export type CommandCall = typeof calls.activate | typeof calls.redeploy | typeof calls.rollback;

export interface Command<C extends CommandCall> {
  call: C;
  names: PathNames<C>;
  body: BodyOf<C>;
  waitMs: number;
  token(): Promise<string>;
  signal: AbortSignal;
  /** It does no harm to send the same call twice. */
  repeatable: boolean;
}

export interface ClientParts {
  timing?: ClientTiming;
  send?: Transport;
  time?: Time;
}

/** An agent needs no time to say that it is there; what listens there instead may say nothing for ever. */
const healthMs = 5000;

/** One agent, at the address that the workflow gave. Every method throws CutoverError. */
export class AgentClient {
  /** The authority of the address: the host in a token's audience, and the name in the log. */
  readonly host: string;
  readonly #url: string;
  readonly #timing: ClientTiming;
  readonly #send: Transport;
  readonly #time: Time;
  #known = false;

  constructor(url: URL, { timing = usualTiming, send = call, time = realTime }: ClientParts = {}) {
    // Behind a proxy, the agent may be below a path.
    this.#url = url.href.replace(/\/+$/, "");
    this.host = url.host;
    this.#timing = timing;
    this.#send = send;
    this.#time = time;
  }

  /** Makes sure that an agent answers and speaks the same protocol. @throws agent_unreachable, agent_incompatible */
  async check(signal: AbortSignal): Promise<void> {
    const answer = await this.#retry({ signal, repeat: isPassing }, async () => {
      try {
        const idleMs = Math.min(this.#timing.answerMs, healthMs);
        return await this.#text({ method: calls.health.method, path: calls.health.path, idleMs, signal });
      } catch (thrown) {
        const url = new URL(this.#url);
        if (knowsNoPath(thrown) && url.pathname !== "/") throw pathTooMany(url, thrown);
        const mayBeTls = url.protocol === "http:" && hangsUp(thrown);
        throw mayBeTls && (await speaksTls(url, this.#timing.probeMs)) ? wantsTls(this.host, thrown) : thrown;
      }
    });
    const health = calls.health.answer.safeParse(parseJson(answer)).data;
    this.#known = health !== undefined;
    if (health?.protocol === protocolVersion) return;
    throw incompatible(this.host, health);
  }

  /** Sends a bundle, to be staged. Repeated if the connection breaks: an agent recognises a bundle that it has. */
  async upload(upload: Upload): Promise<Begun> {
    const { app, archive, releaseCommand, leaseMs, waitMs, token, onProgress, signal } = upload;
    const { size } = archive;
    const query = {
      activate: false,
      release_command: releaseCommand,
      wait: seconds(waitMs),
      lease: seconds(leaseMs),
      base: archive.base,
    };
    const body: CallBody = {
      kind: "file",
      path: archive.path,
      size,
      continueMs: waitMs + 30_000,
      onProgress: (sent) => onProgress(sent, size),
    };
    const path = pathOf(calls.deploy, { app }, query);
    const headers = uploadHeaders(upload);
    return this.#begin(calls.deploy, path, { headers, body, token, signal, waitMs, repeat: isPassing });
  }

  /** Begins a deployment without a bundle. It goes on after the answer. */
  async command<C extends CommandCall>(command: Command<C>): Promise<Begun> {
    const { call, names, body, waitMs, token, signal, repeatable } = command;
    const text = JSON.stringify(body);
    const repeat = repeatable ? isPassing : neverArrived;
    // All three calls have this query.
    const query = { wait: seconds(waitMs) } as QueryOf<C>;
    const options: BeginOptions = { body: { kind: "json", text }, token, signal, waitMs, repeat };
    return this.#begin(call, pathOf(call, names, query), options);
  }

  /** Undoes a deployment that has not cut over. @throws already_cut_over */
  async abort(deployment: string, token: () => Promise<string>, signal: AbortSignal): Promise<DeploymentView> {
    // An unreachable host is not waited for: the deployment's lease ends there by itself.
    const repeat = (thrown: unknown) => isPassing(thrown) && !isAway(thrown);
    return this.#retry({ signal, repeat, changes: true }, async () => {
      const headers = await bearer(token, signal);
      const path = pathOf(calls.abort, { id: deployment });
      const body: CallBody = { kind: "json", text: "{}" };
      const text = await this.#text({ method: calls.abort.method, path, headers, body, signal });
      return this.#parse(calls.abort.answer, text);
    });
  }

  /** The state of a deployment. Asking with its lease's secret also renews the lease. */
  async deployment(id: string, leaseSecret: string, signal: AbortSignal): Promise<DeploymentView> {
    const path = pathOf(calls.deployment, { id });
    const headers = { [leaseHeader]: leaseSecret };
    return this.#retry({ signal, repeat: isPassing }, async () => {
      const text = await this.#text({ method: calls.deployment.method, path, headers, signal });
      return this.#parse(calls.deployment.answer, text);
    });
  }

  /** The state of the app on this host. */
  async app(app: string, token: () => Promise<string>, signal: AbortSignal): Promise<AppView> {
    return this.#retry({ signal, repeat: isPassing }, async () => {
      const headers = await bearer(token, signal);
      const path = pathOf(calls.app, { app });
      return this.#parse(calls.app.answer, await this.#text({ method: calls.app.method, path, headers, signal }));
    });
  }

  /** The files of the release that this host has live. Asked once and with a short limit: the job can do without it. */
  async liveFiles(
    app: string,
    known: KnownManifests,
    token: () => Promise<string>,
    signal: AbortSignal,
  ): Promise<LiveFiles> {
    const ask = async (known: KnownManifests) => {
      const headers = { ...(await filesHeaders(known)), ...(await bearer(token, signal)) };
      const path = pathOf(calls.files, { app, release: "live" }, { form: "columns" });
      const idleMs = this.#timing.filesMs;
      const answer = await this.#answer({ method: calls.files.method, path, headers, signal, idleMs });
      return readFilesAnswer(answer, known);
    };
    try {
      // A cache that was damaged must not make each deploy a whole one.
      return (await ask(known)) ?? (await ask(noManifests)) ?? this.#unreadable();
    } catch (thrown) {
      signal.throwIfAborted();
      throw explain(thrown, this.host);
    }
  }

  /** A deployment's events until its end, over as many connections as that needs. */
  events(deployment: string, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    const { firstDelayMs, longestDelayMs, lostAfterMs, eventsIdleMs } = this.#timing;
    const open = (after: number) => {
      const path = pathOf(calls.events, { id: deployment }, { after });
      const headers = { accept: "application/x-ndjson" };
      return this.#answer({ method: calls.events.method, path, headers, idleMs: eventsIdleMs, signal });
    };
    const again = async ({ thrown, before, silentMs }: StreamFailure) => {
      signal.throwIfAborted();
      if (thrown !== undefined && !isPassing(thrown)) throw explain(thrown, this.host);
      const delayMs = Math.min(firstDelayMs * 2 ** before, longestDelayMs);
      // Never without a second attempt: a broken stream is no silent agent.
      if (before > 0 && silentMs + delayMs > lostAfterMs) throw lost(this.host, thrown);
      await sleep(this.#time, delayMs, signal);
    };
    return followEvents({ open, again, elapsed: () => this.#time.elapsed() });
  }

  async #begin(call: typeof calls.deploy | CommandCall, path: string, options: BeginOptions): Promise<Begun> {
    const { headers: own = {}, body, token, signal, waitMs, repeat } = options;
    let repeated = false;
    const onUnsure = () => {
      repeated = true;
    };
    return this.#retry({ signal, repeat, changes: true, onUnsure }, async () => {
      const headers = { ...own, ...(await bearer(token, signal)) };
      // The answer comes only when the bundle is unpacked or the app is free.
      const idleMs = waitMs + 5 * this.#timing.answerMs;
      const text = await this.#text({ method: call.method, path, headers, body, idleMs, signal });
      return { ...this.#parse(call.answer, text), repeated };
    });
  }

  #retry<T>(options: AttemptOptions, attempt: () => Promise<T>): Promise<T> {
    const { host } = this;
    return attempts(attempt, options, { host, known: this.#known, timing: this.#timing, time: this.#time });
  }

  async #text(request: ClientCall): Promise<string> {
    return readText(await this.#answer(request));
  }

  async #answer({ path, idleMs = this.#timing.answerMs, ...request }: ClientCall): Promise<HttpAnswer> {
    const answer = await this.#send({ ...request, idleMs, url: new URL(`${this.#url}${path}`) });
    const status = answer.statusCode ?? 0;
    // Only a question that says what it has is answered with 304.
    if ((status >= 200 && status < 300) || status === 304) return answer;
    const { authorization = "" } = request.headers ?? {};
    const { date, location } = answer.headers ?? {};
    throw new Refusal(status, await readText(answer), {
      aheadMs: clockAhead(date),
      authorization,
      location: `${location ?? ""}`,
    });
  }

  #parse<S extends z.ZodType>(schema: S, text: string): z.output<S> {
    return schema.safeParse(parseJson(text)).data ?? this.#unreadable();
  }

  #unreadable(): never {
    throw new CutoverError(
      "agent_incompatible",
      `The agent at ${this.host} gave an answer that this Action cannot read.`,
      { fix: sameMajor },
    );
  }
}

interface BeginOptions {
  headers?: Record<string, string>;
  body: CallBody;
  token(): Promise<string>;
  signal: AbortSignal;
  waitMs: number;
  repeat: (thrown: unknown) => boolean;
}

type ClientCall = Omit<HttpCall, "url" | "idleMs"> & { path: string; idleMs?: number };

async function bearer(token: () => Promise<string>, signal: AbortSignal): Promise<Record<string, string>> {
  return { authorization: `Bearer ${await unlessAborted(token(), signal)}` };
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}
