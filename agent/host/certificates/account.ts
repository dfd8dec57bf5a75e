import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeDurably } from "../store/durable.ts";
import { readSafelyIfExists } from "../store/safe-read.ts";

const limit = 16 * 1024;

/**
 * The key of the agent's account with an authority (PKCS #8, PEM), which only the agent can read. It is made at the first
 * order, and again for another authority, or if the file is damaged: an account costs nothing.
 */
export async function accountKey(data: string, directory: string): Promise<string> {
  const file = join(data, "acme", "account.json");
  const known = keyIn(await readSafelyIfExists(data, file, limit), directory);
  if (known !== undefined) return known;
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = String(privateKey.export({ format: "pem", type: "pkcs8" }));
  await mkdir(dirname(file), { recursive: true });
  await writeDurably(file, `${JSON.stringify({ directory, key })}\n`, 0o600);
  return key;
}

function keyIn(text: string | undefined, directory: string): string | undefined {
  try {
    const account = JSON.parse(text ?? "") as { directory?: unknown; key?: unknown };
    if (account.directory !== directory || typeof account.key !== "string") return undefined;
    createPrivateKey(account.key);
    return account.key;
  } catch {
    return undefined;
  }
}
