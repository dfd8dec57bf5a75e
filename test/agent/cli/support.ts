import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { runCli } from "../../../agent/cli/program.ts";
import type { Terminal } from "../../../agent/cli/terminal/terminal.ts";
import { startAdminServer } from "../../../agent/http/admin-server.ts";
import { createHttpApp } from "../../../agent/http/app.ts";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import type { RunningServer } from "../../../agent/http/server.ts";
import { createLogger } from "../../../agent/logger.ts";
import { fakeTimes } from "../../fakes/app-view.ts";
import { AuditInMemory } from "../../fakes/audit.ts";
import { FakeService } from "../../fakes/service.ts";

export interface Ran {
  exit: number;
  out: string;
  err: string;
}

export interface RunOptions {
  /** What a person types at a terminal; undefined: standard input is no terminal. */
  typed?: string;
  /** What stands on standard input when it is no terminal. */
  input?: string;
  env?: NodeJS.ProcessEnv;
  /** Called with what was printed so far, each time that something is. */
  onOutput?: (text: string) => void;
}

/** A host in a temporary directory, laid out as an embedded agent's, with the `cutover` command to run on it. */
export class TestHost {
  readonly directory: string;
  readonly service = new FakeService();
  readonly audit = new AuditInMemory();
  #server: RunningServer | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<TestHost> {
    return new TestHost(await mkdtemp(join(tmpdir(), "cutover-cli-")));
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  async startAgent(): Promise<void> {
    const app = createHttpApp({
      service: this.service,
      authorize: localOperator(),
      logger: createLogger("silent"),
      version: "1.2.3",
      admin: true,
      audit: this.audit,
    });
    this.#server = await startAdminServer({ path: this.path("agent.sock"), app });
  }

  async stopAgent(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }

  async run(argv: string[], { typed, input, env, onOutput }: RunOptions = {}): Promise<Ran> {
    let out = "";
    let err = "";
    const writable = (take: (text: string) => void) =>
      new Writable({
        write(chunk, _encoding, done) {
          take(String(chunk));
          done();
        },
      });
    const stdin: Terminal["stdin"] =
      typed === undefined ? Readable.from(input === undefined ? [] : [input]) : new PassThrough();
    if (typed !== undefined) {
      stdin.isTTY = true;
      (stdin as PassThrough).write(`${typed}\n`);
    }
    const terminal: Terminal = {
      stdin,
      stdout: writable((text) => {
        out += text;
        onOutput?.(out);
      }),
      stderr: writable((text) => {
        err += text;
      }),
      env: { CUTOVER_EMBEDDED: this.directory, ...env },
      now: () => Date.parse(fakeTimes.later),
    };
    const exit = await runCli(argv, terminal, "1.2.3");
    return { exit, out, err };
  }

  async close(): Promise<void> {
    await this.stopAgent();
    await rm(this.directory, { recursive: true });
  }
}
