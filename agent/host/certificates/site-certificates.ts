import { createPrivateKey, X509Certificate } from "node:crypto";
import { lstatSync } from "node:fs";
import { readlink, rm } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { CutoverError } from "../../../shared/errors.ts";
import type { TlsFiles } from "../../settings-values.ts";
import { assertOwnDirectory, makeDirectory } from "../ownership/directory.ts";
import type { Owner } from "../ownership/trees.ts";
import { pointSymlink, syncDirectory, writeDurably } from "../store/durable.ts";
import { appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { readSafely, readSafelyIfExists } from "../store/safe-read.ts";
import { certificateRequest } from "./certificate-request.ts";

const limit = 64 * 1024;
const longestChain = 10;
/** A directory of one certificate and its key: the day on which it begins, and its digest. */
const version = /^\d{8}-[0-9a-f]{16}$/;

/**
 * The certificates of `tls: auto`, on the side that is root: a key is made here and never leaves it. The other side, which faces
 * the network, gets a signing request and brings the chain. Each certificate has a directory of its own, whose path is in the
 * site's text: so a new one is a change of that text, with all that belongs to one (a test, a reload, a way back).
 */
export class SiteCertificates {
  readonly #data: string;
  readonly #agent: Owner | undefined;

  /** @param agent the agent's user, if that is not the user of this process */
  constructor(data: string, agent?: Owner) {
    this.#data = data;
    this.#agent = agent;
  }

  /** Makes a new key, and a request that it signs (PKCS #10, PEM) for these names. */
  async request(app: string, names: string[]): Promise<string> {
    const { home, tls } = appLayout(this.#data, app);
    assertOwnDirectory(home);
    const owner = this.#agent === undefined ? undefined : { uid: 0, gid: 0 };
    await makeDirectory(tls, { mode: 0o700, owner, untrusted: this.#agent?.uid });
    const { key, request } = await certificateRequest(names);
    await writeDurably(nextKey(tls), key, 0o600);
    return request;
  }

  /**
   * Takes the chain for the key of the last request, the leaf first. The site has it after its text was written again. The one
   * before stays, since the site's text still names it.
   * @throws CutoverError certificate_failed if it is none for that key, or has expired
   */
  async install(app: string, chain: string): Promise<void> {
    const { home, tls } = appLayout(this.#data, app);
    assertOwnIfThere(tls);
    const certificates = parsed(chain);
    const pem = certificates.map(String).join("");
    const key = await readSafelyIfExists(home, nextKey(tls), limit);
    // The agent did not hear that it is done, and asks again.
    if (key === undefined && (await this.chain(app)) === pem) return;
    const [leaf] = certificates;
    if (leaf === undefined || key === undefined || !fits(leaf, key, pem)) throw unusable("it is none for the key here");
    if (Date.parse(leaf.validTo) <= Date.now()) throw unusable(`it expired on ${leaf.validTo}`);
    const name = versionOf(leaf);
    const before = await liveVersion(tls);
    const directory = join(tls, name);
    await makeDirectory(directory, { mode: 0o700 });
    await writeDurably(join(directory, "key.pem"), key, 0o600);
    await writeDurably(join(directory, "fullchain.pem"), pem, 0o644);
    await syncDirectory(tls);
    await pointSymlink(join(tls, "live"), name);
    await syncDirectory(tls);
    await rm(nextKey(tls), { force: true });
    for (const old of await listIfExists(tls)) {
      if (version.test(old) && old !== name && old !== before) await rm(join(tls, old), { recursive: true });
    }
  }

  /** The certificate that the site has, or gets when its text is written the next time: its chain (PEM). */
  async chain(app: string): Promise<string | undefined> {
    const { home } = appLayout(this.#data, app);
    const files = await this.files(app);
    return files && (await readSafely(home, files.certificate, limit)).toString("utf8");
  }

  /** undefined before the first one. */
  async files(app: string): Promise<TlsFiles | undefined> {
    const { tls } = appLayout(this.#data, app);
    assertOwnIfThere(tls);
    const live = await liveVersion(tls);
    if (live === undefined) return undefined;
    return { certificate: join(tls, live, "fullchain.pem"), key: join(tls, live, "key.pem") };
  }
}

/**
 * Where there was no request yet, the agent can make the directory itself, and lead what root writes there elsewhere by links.
 * @throws CutoverError host_settings_invalid
 */
function assertOwnIfThere(tls: string): void {
  if (lstatSync(tls, { throwIfNoEntry: false }) !== undefined) assertOwnDirectory(tls);
}

function nextKey(tls: string): string {
  return join(tls, "next.key");
}

async function liveVersion(tls: string): Promise<string | undefined> {
  const name = await readlink(join(tls, "live")).catch(() => undefined);
  return name !== undefined && version.test(name) ? name : undefined;
}

function versionOf({ validFrom, fingerprint256 }: X509Certificate): string {
  const day = new Date(validFrom).toISOString().slice(0, 10).replaceAll("-", "");
  return `${day}-${fingerprint256.replaceAll(":", "").slice(0, 16).toLowerCase()}`;
}

/** The certificates of a chain, and nothing else of its text. @throws CutoverError certificate_failed */
function parsed(chain: string): X509Certificate[] {
  const blocks = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length === 0 || blocks.length > longestChain) throw new Error(`it has ${blocks.length} certificates`);
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw unusable((cause as Error).message, cause);
  }
}

function fits(leaf: X509Certificate, key: string, pem: string): boolean {
  try {
    createSecureContext({ cert: pem, key });
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function unusable(why: string, cause?: unknown): CutoverError {
  return new CutoverError("certificate_failed", `The certificate that came cannot be used: ${why}.`, {
    unchanged: "The site keeps the certificate that it has.",
    fix: "The agent asks for another one by itself: see `cutover tls status`.",
    cause,
  });
}
