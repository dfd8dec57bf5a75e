import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../harness/ports.ts";
import { processId } from "../../harness/processes.ts";
import { Scratch } from "../../harness/scratch.ts";
import { PeerHost } from "./host.ts";
import { CountingRelay } from "./relay.ts";
import { buildSteps, excluded } from "./rsync.ts";
import type { OpenTool, Tool } from "./tool.ts";

/** Capistrano as its own documentation sets it up: the host fetches from git, `current` is a link, and then comes a restart. */
export const openCapistrano: OpenTool = async (write) => {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await PeerHost.start("capistrano"));
  const project = host.path("project");
  write(project);
  const repository = stack.use(await Repository.start(host, project));
  const control = host.path("control");
  writeFiles(control, {
    Capfile:
      'require "capistrano/setup"\nrequire "capistrano/deploy"\nrequire "capistrano/scm/git"\ninstall_plugin Capistrano::SCM::Git\n',
    "config/deploy/production.rb": stageOf(host),
    "config/deploy.rb": deployOf(host, repository.url),
  });
  // The first deploy has nothing to restart yet.
  const cap = async (restart: boolean) => {
    await repository.commit();
    await host.run(["env", `RESTART=${restart ? "yes" : "no"}`, "cap", "production", "deploy"], control);
  };
  await cap(false);
  await host.serve([{ name: "market", directory: host.path("market/current"), autostart: true }]);
  const open = stack.move();
  return {
    project,
    url: host.url,
    get bytes() {
      return host.relay.bytes + repository.bytes;
    },
    deploy: () => cap(true),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  } satisfies Tool;
};

function writeFiles(directory: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, ".."), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

function stageOf(host: PeerHost): string {
  const options = `port: ${host.relay.port}, keys: ["${host.key}"], keys_only: true, config: false, verify_host_key: :never, user_known_hosts_file: "/dev/null", auth_methods: ["publickey"]`;
  return `server "127.0.0.1", user: ENV.fetch("USER", "root"), roles: %w{app}\nset :ssh_options, { ${options} }\n`;
}

function deployOf(host: PeerHost, url: string): string {
  return `set :application, "market"
set :repo_url, "${url}"
set :branch, "main"
set :deploy_to, "${host.path("market")}"
set :keep_releases, 5
set :format_options, log_file: nil
namespace :deploy do
  task :build do
    on roles(:app) do
      execute "${buildSteps(host, "#{release_path}")}"
    end
  end
  task :restart do
    on roles(:app) do
      execute "${host.supervisorctl} restart market:*" if ENV["RESTART"] == "yes"
    end
  end
  after :updated, :build
  after :published, :restart
end
`;
}

/** A git repository of the project, served to the host by git's own daemon, and counted. */
class Repository implements AsyncDisposable {
  readonly #scratch: Scratch;
  readonly #relay: CountingRelay;
  readonly #host: PeerHost;
  readonly #project: string;

  private constructor(parts: { scratch: Scratch; relay: CountingRelay; host: PeerHost; project: string }) {
    this.#scratch = parts.scratch;
    this.#relay = parts.relay;
    this.#host = parts.host;
    this.#project = parts.project;
  }

  static async start(host: PeerHost, project: string): Promise<Repository> {
    await using stack = new AsyncDisposableStack();
    const scratch = stack.use(new Scratch("peer-git"));
    const [port = 0] = await freePorts(1);
    const relay = stack.use(await CountingRelay.start(() => port));
    const daemon = ["daemon", "--listen=127.0.0.1", `--port=${port}`, "--export-all", `--base-path=${scratch.path}`];
    const child = spawn("git", [...daemon, "--reuseaddr", scratch.path], { env: host.env, stdio: "ignore" });
    child.once("error", () => undefined);
    if (child.pid !== undefined) scratch.adopt(processId(child.pid));
    stack.move();
    const repository = new Repository({ scratch, relay, host, project });
    await repository.#git("init", "-q", "-b", "main");
    return repository;
  }

  get url(): string {
    return `git://127.0.0.1:${this.#relay.port}/market/.git`;
  }

  get bytes(): number {
    return this.#relay.bytes;
  }

  async commit(): Promise<void> {
    await this.#host.run(["rsync", "-a", "--delete", ...excluded, `${this.#project}/`, `${this.#copy}/`]);
    await this.#git("add", "-A");
    await this.#git("commit", "-q", "-m", "A change");
  }

  get #copy(): string {
    return join(this.#scratch.path, "market");
  }

  async #git(...args: string[]): Promise<void> {
    mkdirSync(this.#copy, { recursive: true });
    const author = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
    await this.#host.run(["git", ...author, ...args], this.#copy);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relay[Symbol.asyncDispose]();
    await this.#scratch[Symbol.asyncDispose]();
  }
}
