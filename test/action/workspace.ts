import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Config, configSchema } from "../../shared/config.ts";
import { CutoverError, type ErrorCode } from "../../shared/errors.ts";

/** A directory with files in it, gone at the end of the test that holds it by `using`. */
export class Workspace implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "cutover-test-"));

  constructor(files: Record<string, string> = {}) {
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, text: string | Buffer, mode = 0o644): void {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at(name), text);
    chmodSync(this.at(name), mode);
  }

  link(name: string, target: string): void {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    symlinkSync(target, this.at(name));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function configOf(parts: object = {}): Config {
  return configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop.wsgi:application" }, ...parts });
}

export const never = new AbortController().signal;

/** The CutoverError that a call throws. */
export async function refusal(call: () => unknown): Promise<CutoverError> {
  try {
    await call();
  } catch (thrown) {
    if (thrown instanceof CutoverError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

export async function refusalCode(call: () => unknown): Promise<ErrorCode> {
  return (await refusal(call)).code;
}
