import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { appName } from "../../../shared/names.ts";
import { parseJson } from "../../../shared/plain-json.ts";
import type { CertificateRecords } from "../../contracts/certificates.ts";
import { writeDurably } from "../store/durable.ts";
import { readSafelyIfExists } from "../store/safe-read.ts";

const limit = 64 * 1024;

/** One small file for each app. It has no secret. */
export class CertificateRecordFiles implements CertificateRecords {
  readonly #data: string;

  constructor(data: string) {
    this.#data = data;
  }

  async load(app: string): Promise<unknown> {
    try {
      return parseJson((await readSafelyIfExists(this.#data, this.#file(app), limit)) ?? "null") ?? undefined;
    } catch {
      return undefined;
    }
  }

  async save(app: string, record: object): Promise<void> {
    await mkdir(dirname(this.#file(app)), { recursive: true });
    await writeDurably(this.#file(app), `${JSON.stringify(record)}\n`, 0o644);
  }

  #file(app: string): string {
    return join(this.#data, "acme", "sites", `${appName.parse(app)}.json`);
  }
}
