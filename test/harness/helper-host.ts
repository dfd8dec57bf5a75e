import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { stringify } from "yaml";
import { ReleaseDirectories } from "../../agent/host/bundle/releases.ts";
import { appLayout } from "../../agent/host/store/layout.ts";
import { type BundleInput, makeBundle } from "../fixtures/bundle.ts";
import { repository, systemPath } from "./places.ts";
import { processId, withDescendants } from "./processes.ts";
import { endOf } from "./run.ts";
import { Scratch } from "./scratch.ts";
import { asAgent, type HelperSocket, idsOf, listenForHelper, users } from "./two-processes.ts";

export interface Answer {
  id?: number;
  helper?: string;
  output?: [string, string];
  error?: { code: string; detail: string };
  result?: unknown;
}

/** A connection to the helper as some user, line by line: what a compromised agent has. */
export class Talk {
  readonly answers: Answer[] = [];
  readonly ended: Promise<number>;
  readonly #child: ChildProcessWithoutNullStreams;
  #waiting: (() => void)[] = [];
  #text = "";
  #over = false;
  #last = 0;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.ended = endOf(child).finally(() => this.#wake(true));
    child.stdin.on("error", () => undefined);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#text + text).split("\n");
      this.#text = lines.pop() ?? "";
      for (const line of lines) this.answers.push(JSON.parse(line) as Answer);
      this.#wake();
    });
  }

  write(bytes: string | Buffer): void {
    this.#child.stdin.write(bytes);
  }

  /** Half closes it, as an agent does that has nothing more to ask. */
  end(): void {
    this.#child.stdin.end();
  }

  /** Ends the agent's side as a crash would. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** @returns the first answer for which it is true; undefined when the helper has ended before */
  async answer(wanted: (answer: Answer) => boolean): Promise<Answer | undefined> {
    for (;;) {
      const found = this.answers.find(wanted);
      if (found !== undefined || this.#over) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Sends a request and waits for its end. @returns its answer, with an error of code `ended` where none came */
  async ask(method: string, params: unknown): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    this.write(`${JSON.stringify({ id, method, params })}\n`);
    const answer = await this.answer((each) => each.id === id && each.output === undefined);
    return answer ?? { error: { code: "ended", detail: "the connection ended" } };
  }

  /** What a request answers. @throws Error where it is refused */
  async done(method: string, params: unknown): Promise<unknown> {
    const { error, result } = await this.ask(method, params);
    if (error !== undefined) throw new Error(`${method}: ${error.code} ${error.detail}`);
    return result;
  }

  #wake(over = false): void {
    this.#over ||= over;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A host with two apps and a helper, without nginx and supervisord: for what is refused, and for what is built. */
export class HelperHost implements AsyncDisposable {
  readonly scratch = new Scratch("helper");
  readonly directory = join(this.scratch.path, "host");
  readonly etc = join(this.directory, "etc");
  readonly data = join(this.directory, "data");
  readonly confDir = join(this.directory, "supervisor");
  readonly nginxDir = join(this.directory, "nginx");
  socket: HelperSocket | undefined;

  /** @param settings more of agent.yml */
  static async open(settings: object = {}): Promise<HelperHost> {
    const host = new HelperHost();
    try {
      for (const path of [join(host.etc, "apps"), host.confDir, host.nginxDir]) mkdirSync(path, { recursive: true });
      const agent = {
        data: host.data,
        agent_user: users.agent,
        build_user: users.builder,
        helper: join(host.directory, "helper.sock"),
        supervisor: { conf_dir: host.confDir, socket: join(host.directory, "supervisor.sock") },
        nginx: { conf_dir: host.nginxDir, group: users.nginx, log_dir: host.directory },
        log_level: "error",
        ...settings,
      };
      writeFileSync(join(host.etc, "agent.yml"), stringify(agent));
      host.writeApp("shop", { user: users.app, ports: "21000-21009" });
      host.writeApp("other", { user: users.otherApp, tls: "auto", domains: ["other.example.com"] });
      host.socket = await listenForHelper(host.scratch, host.directory);
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  writeApp(app: string, settings: object): void {
    writeFileSync(join(this.etc, "apps", `${app}.yml`), stringify(settings));
    const secrets = join(this.etc, "apps", `${app}.env`);
    writeFileSync(secrets, `SECRET=canary-of-${app}\n`);
    chmodSync(secrets, 0o600);
  }

  layout(app = "shop") {
    return appLayout(this.data, app);
  }

  /** @param as the words before a program that make it another user's; the agent's unless given */
  talk(as: string[] = asAgent()): Talk {
    const [program = "", ...args] = [...as, "/usr/bin/python3", join(repository, "test/harness/relay.py")];
    const child = spawn(program, [...args, join(this.directory, "helper.sock")], { env: { PATH: systemPath } });
    if (child.pid !== undefined) this.scratch.adopt(processId(child.pid));
    return new Talk(child);
  }

  /**
   * A release as the agent would have unpacked it: its own. The app is prepared already.
   * @param closed whether only the agent can enter the project, as it is before it is sealed; builds can otherwise
   */
  async unpack(input: BundleInput, { closed = false } = {}): Promise<string> {
    const { bytes, manifest } = makeBundle(input);
    const releases = new ReleaseDirectories({ data: this.data, limits: { bundle: 1e9, free: 0 } });
    const signal = new AbortController().signal;
    await releases.unpack(manifest.app, Readable.from([bytes]), { accept: async () => undefined, signal });
    const { uid, gid } = idsOf(users.agent);
    const { objects, release, app } = this.layout(manifest.app);
    execFileSync("chown", ["-hR", "--from=0", `${uid}:${gid}`, objects, release(manifest.release)]);
    if (!closed && existsSync(app(manifest.release))) chmodSync(app(manifest.release), 0o755);
    return manifest.release;
  }

  /** Builds a release's environment, and links it as the agent does. @returns its key */
  async build(talk: Talk, release: string): Promise<string> {
    const { key } = (await talk.done("buildEnvironment", { app: "shop", release })) as { key: string };
    this.link(release, key);
    return key;
  }

  link(release: string, key: string): void {
    symlinkSync(join("../../venvs", key), this.layout().releaseVenv(release));
  }

  /** The helpers that run now, and what they started. */
  helpers(): number[] {
    const superserver = processId(this.socket?.pid ?? -1);
    const all = superserver === undefined ? [] : withDescendants([superserver]);
    return all.map(({ pid }) => pid).filter((pid) => pid !== superserver?.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scratch[Symbol.asyncDispose]();
  }
}
