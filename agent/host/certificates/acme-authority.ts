import type { Client } from "acme-client";
import type { CertificateAuthority, OrderRequest, OrderResult, RenewalWindow } from "../../contracts/certificates.ts";
import type { AcmeSettings } from "../../settings-values.ts";
import { accountKey } from "./account.ts";
import { AuthorityHttp, NotNow, retryAfter } from "./acme-http.ts";
import { ChallengeFiles } from "./challenges.ts";
import { certificateId } from "./renewal-id.ts";

interface AuthorityParts {
  data: string;
  settings: AcmeSettings;
  /** Between two looks at an order, in milliseconds: the first pause, and the longest. */
  poll?: { min: number; max: number };
  /** What an order may take, in milliseconds, for each of its names, and once more. */
  limitMs?: number;
}

/** Looks at one challenge or order; with the pauses some three minutes. */
const looks = 25;
const hour = 3_600_000;

/** An authority that speaks ACME (RFC 8555). It asks for the answers to its challenges on port 80 of each name (HTTP-01). */
export class AcmeAuthority implements CertificateAuthority {
  readonly #parts: Required<AuthorityParts>;
  readonly #challenges: ChallengeFiles;

  constructor({ poll = { min: 1000, max: 10_000 }, limitMs = 300_000, ...parts }: AuthorityParts) {
    this.#parts = { ...parts, poll, limitMs };
    this.#challenges = new ChallengeFiles(parts.data);
  }

  /** An authority that goes on for ever would keep all other sites waiting. When time is over, nobody asks it again. */
  async order(request: OrderRequest, stop: AbortSignal): Promise<OrderResult> {
    const limitMs = (request.names.length + 1) * this.#parts.limitMs;
    const limit = AbortSignal.timeout(limitMs);
    const signal = AbortSignal.any([stop, limit]);
    try {
      const client = await this.#client(signal);
      await this.#account(client);
      const order = await this.#newOrder(client, request, signal);
      // Each one is asked for and waited for.
      if (order.authorizations.length > request.names.length)
        throw new Error(`The authority wants ${order.authorizations.length} proofs for ${request.names.length} names.`);
      await this.#prove(client, order);
      const ready = await client.waitForValidStatus(order);
      const finished = await client.finalizeOrder({ ...order, ...ready, url: order.url }, request.request);
      return { kind: "issued", chain: await client.getCertificate(finished) };
    } catch (thrown) {
      if (limit.aborted && !stop.aborted)
        return { kind: "refused", reason: `The authority did not end the order within ${limitMs / 1000} seconds.` };
      if (thrown instanceof NotNow) {
        return { kind: "refused", reason: thrown.message, retryAfterMs: thrown.retryAfterMs };
      }
      return { kind: "refused", reason: thrown instanceof Error ? thrown.message : String(thrown) };
    }
  }

  async renewalWindow(chain: string, signal: AbortSignal): Promise<RenewalWindow | undefined> {
    try {
      const { directory } = this.#parts.settings;
      const http = new AuthorityHttp(this.#parts.settings, signal);
      const { renewalInfo } = JSON.parse((await http.send(directory, { method: "GET" })).text) as Record<
        string,
        unknown
      >;
      const id = typeof renewalInfo === "string" ? await certificateId(chain) : undefined;
      if (id === undefined) return undefined;
      const { status, headers, text } = await http.send(`${renewalInfo}/${id}`, { method: "GET" });
      if (status !== 200) return undefined;
      const { suggestedWindow } = JSON.parse(text) as { suggestedWindow: { start: string; end: string } };
      const [start, end] = [Date.parse(suggestedWindow.start), Date.parse(suggestedWindow.end)];
      if (!(end > start)) return undefined;
      // RFC 9773, section 4.3.2: limits to what it says, so that nobody asks all the time, or never again.
      const said = retryAfter(headers["retry-after"]) ?? 6 * hour;
      return { start, end, askAgainMs: Math.min(Math.max(said, 60_000), 24 * hour) };
    } catch {
      return undefined;
    }
  }

  async #client(signal: AbortSignal): Promise<Client> {
    const { data, settings, poll } = this.#parts;
    const key = await accountKey(data, settings.directory);
    // Loaded when it is needed: most agents get no certificates, and those that do get one in two months.
    const { axios, Client } = await import("acme-client");
    const http = new AuthorityHttp(settings, signal);
    // Its own HTTP repeats what fails for minutes, and does not say why it failed.
    axios.defaults.adapter = async (config) => {
      const { url = "", method = "get", data: body } = config;
      const headers = { ...config.headers.toJSON(), "user-agent": "cutover-agent" } as Record<string, string>;
      const answer = await http.send(url, { method, headers, body: body as string | undefined });
      return { status: answer.status, statusText: "", headers: answer.headers, data: answer.text, config };
    };
    return new Client({
      directoryUrl: settings.directory,
      accountKey: key,
      backoffAttempts: looks,
      backoffMin: poll.min,
      backoffMax: poll.max,
    });
  }

  /** Finds the account of the key, or makes one: the authority may have lost it. */
  async #account(client: Client): Promise<void> {
    const { email } = this.#parts.settings;
    const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
    await client.createAccount({ onlyReturnExisting: true }).catch((thrown: unknown) => {
      if (thrown instanceof NotNow) throw thrown;
      return client.createAccount({ termsOfServiceAgreed: true, ...contact });
    });
  }

  /** The authority is told which certificate this one replaces: such an order has no rate limit. */
  async #newOrder(client: Client, { names, replaces }: OrderRequest, signal: AbortSignal) {
    const plain = { identifiers: names.map((value) => ({ type: "dns", value })) };
    const speaks = replaces !== undefined && (await this.renewalWindow(replaces, signal)) !== undefined;
    const id = speaks ? await certificateId(replaces) : undefined;
    if (id === undefined) return client.createOrder(plain);
    const replacing = { ...plain, replaces: id };
    return client.createOrder(replacing).catch((thrown: unknown) => {
      // It is replaced already, or another authority's.
      if (thrown instanceof NotNow) throw thrown;
      return client.createOrder(plain);
    });
  }

  async #prove(client: Client, order: Awaited<ReturnType<Client["createOrder"]>>): Promise<void> {
    const authorizations = await client.getAuthorizations(order);
    const tokens: string[] = [];
    try {
      for (const { status, identifier, challenges } of authorizations) {
        // The authority remembers a name that was proven before.
        if (status === "valid") continue;
        const challenge = challenges.find(({ type }) => type === "http-01");
        if (challenge === undefined) throw new Error(`The authority does not prove ${identifier.value} by HTTP-01.`);
        tokens.push(challenge.token);
        await this.#challenges.put(challenge.token, await client.getChallengeKeyAuthorization(challenge));
        await client.completeChallenge(challenge);
        await client.waitForValidStatus(challenge).catch((thrown: Error) => {
          if (thrown instanceof NotNow) throw thrown;
          throw new Error(`The authority could not prove ${identifier.value}: ${thrown.message}`);
        });
      }
    } finally {
      for (const token of tokens) await this.#challenges.remove(token);
    }
  }
}
