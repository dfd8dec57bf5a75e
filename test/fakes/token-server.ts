import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importPKCS8,
  type JWK,
  SignJWT,
} from "jose";

export interface TokenServerOptions {
  host?: string;
  port?: number;
  /** Unless given, the server's own address: then it is its own GitHub. */
  issuer?: string;
  /** Beside and instead of the usual ones. */
  claims?: Record<string, unknown>;
  /** A PKCS #8 file, made where there is none: the same keys again after a restart, or on another host. */
  keyFile?: string;
  /** PEM texts; without them it speaks plain HTTP. */
  tls?: { cert: string; key: string };
}

/** What GitHub says of a job of acme/shop in the environment production, started by a push to main. */
export const shopClaims: Record<string, unknown> = {
  sub: "repo:acme/shop:environment:production",
  repository: "acme/shop",
  repository_id: "1296269",
  repository_owner: "acme",
  repository_owner_id: "583231",
  repository_visibility: "private",
  environment: "production",
  ref: "refs/heads/main",
  ref_type: "branch",
  ref_protected: "true",
  sha: "3f2c1ab0c5d94d8a9a5be5d6b7f8e9a0b1c2d3e4",
  event_name: "push",
  actor: "octocat",
  actor_id: "583232",
  run_id: "4711",
  run_number: "42",
  run_attempt: "1",
  workflow: "deploy",
  workflow_ref: "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
  runner_environment: "github-hosted",
  job_workflow_ref: "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
};

export interface TokenParts {
  /** One that is undefined is left out. */
  claims?: Record<string, unknown>;
  header?: Record<string, unknown>;
  key?: IssuerKeyPair;
}

export interface IssuerKeyPair {
  private: CryptoKey;
  public: JWK;
  kid: string;
}

export async function newIssuerKey(pem?: string): Promise<IssuerKeyPair> {
  const key =
    pem === undefined
      ? (await generateKeyPair("RS256", { extractable: true })).privateKey
      : await importPKCS8(pem, "RS256", { extractable: true });
  const { kty, n, e } = await exportJWK(key);
  const jwk = { kty, n, e } as JWK;
  const kid = await calculateJwkThumbprint(jwk);
  return { private: key, kid, public: { ...jwk, kid, use: "sig", alg: "RS256", x5t: kid } };
}

/**
 * Speaks as GitHub's token service and its issuer do: a job asks with its bearer at an address that has a `?` already and
 * gets `{value}`; the public keys are at `/.well-known/jwks`. Real keys, real signatures, real HTTP.
 */
export class TokenServer implements AsyncDisposable {
  readonly requestToken = `request-${randomUUID()}`;
  /** Changed by a test between two tokens. */
  claims: Record<string, unknown>;
  /** `down`: connections break; a number: every answer has this status. */
  state: "up" | "down" | number = "up";
  /** The state for the next so many questions only. */
  passing: { state: "down" | number; times: number } = { state: 503, times: 0 };
  /** Audiences of the tokens that were given out, in their order. */
  readonly given: string[] = [];
  /** How often the public keys were asked for. */
  keysAsked = 0;
  readonly #issuer: string | undefined;
  readonly #keyFile: string | undefined;
  readonly #server: Server;
  #keys: IssuerKeyPair[];
  #url = "";

  private constructor({ issuer, claims, keyFile, tls }: TokenServerOptions, key: IssuerKeyPair) {
    this.claims = { ...shopClaims, ...claims };
    this.#issuer = issuer;
    this.#keyFile = keyFile;
    this.#keys = [key];
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response);
    this.#server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  }

  static async start(options: TokenServerOptions = {}): Promise<TokenServer> {
    const { host = "127.0.0.1", port = 0, keyFile, tls } = options;
    const pem = keyFile !== undefined && existsSync(keyFile) ? readFileSync(keyFile, "utf8") : undefined;
    const key = await newIssuerKey(pem);
    const server = new TokenServer(options, key);
    if (pem === undefined) await server.#keep(key);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.#server.once("error", reject).listen({ host, port }, resolve);
    await promise;
    const scheme = tls === undefined ? "http" : "https";
    server.#url = `${scheme}://${host}:${(server.#server.address() as AddressInfo).port}`;
    return server;
  }

  get url(): string {
    return this.#url;
  }

  get issuer(): string {
    return this.#issuer ?? this.#url;
  }

  get jwks(): string {
    return `${this.#url}/.well-known/jwks`;
  }

  /** What GitHub's runner puts into the environment of a job with `id-token: write`. */
  get env(): Record<string, string> {
    return {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${this.#url}/idtoken?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: this.requestToken,
    };
  }

  /** What signs at present. */
  get key(): IssuerKeyPair {
    const key = this.#keys.at(-1);
    if (key === undefined) throw new Error("no key");
    return key;
  }

  /** A new key signs from now on. @param keepOld whether the old one is still published */
  async rotate({ keepOld = false } = {}): Promise<void> {
    const key = await newIssuerKey();
    this.#keys = keepOld ? [...this.#keys, key] : [key];
    await this.#keep(key);
  }

  async #keep(key: IssuerKeyPair): Promise<void> {
    if (this.#keyFile !== undefined) writeFileSync(this.#keyFile, await exportPKCS8(key.private), { mode: 0o600 });
  }

  /** A token as GitHub signs it, and whatever a test makes of it. */
  sign(audience: unknown, { claims = {}, header = {}, key = this.key }: TokenParts = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, nbf: now - 600, exp: now + 300 };
    const all = { jti: randomUUID(), ...this.claims, aud: audience, iss: this.issuer, ...times, ...claims };
    const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    const headers = { typ: "JWT", alg: "RS256", x5t: key.kid, kid: key.kid, ...header };
    return new SignJWT(kept).setProtectedHeader(headers).sign(key.private);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const state = this.passing.times > 0 ? this.passing.state : this.state;
    if (this.passing.times > 0) this.passing.times -= 1;
    const url = new URL(request.url ?? "/", this.#url);
    if (url.pathname === "/.well-known/jwks") this.keysAsked += 1;
    if (state === "down") return void request.socket.destroy();
    if (state !== "up") return void response.writeHead(state).end("{}");
    switch (url.pathname) {
      case "/.well-known/jwks":
        return json(response, 200, { keys: this.#keys.map((key) => key.public) });
      case "/.well-known/openid-configuration":
        return json(response, 200, { issuer: this.issuer, jwks_uri: this.jwks });
      case "/idtoken": {
        if (request.headers.authorization?.toLowerCase() !== `bearer ${this.requestToken}`.toLowerCase()) {
          return json(response, 401, { message: "wrong bearer" });
        }
        const audience = url.searchParams.get("audience") ?? "https://github.com/acme";
        this.given.push(audience);
        return json(response, 200, { count: 1, value: await this.sign(audience) });
      }
      default:
        return json(response, 404, {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(body));
}
