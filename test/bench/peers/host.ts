import { spawn } from "node:child_process";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { offlinePip, systemPath } from "../../harness/places.ts";
import { freePorts } from "../../harness/ports.ts";
import { processId } from "../../harness/processes.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";
import { CountingRelay } from "./relay.ts";

/** Where sshd separates its privileges, which Debian's own service makes at its start. */
const separation = "/run/sshd";
const startMs = 15_000;

/** A group of instances in supervisor: two gunicorns on sockets, as cutover starts them. */
export interface Group {
  name: string;
  /** Where the project is, or a link to it. */
  directory: string;
  autostart: boolean;
}

/**
 * A host as people set it up without cutover: sshd, supervisord and nginx of the distribution. All of it is below one temporary
 * directory and on loopback.
 */
export class PeerHost implements AsyncDisposable {
  readonly url: string;
  readonly relay: CountingRelay;
  readonly #scratch: Scratch;
  readonly #ports: { site: number; ssh: number };
  readonly #pip: Record<string, string>;

  private constructor(parts: {
    scratch: Scratch;
    relay: CountingRelay;
    ports: { site: number; ssh: number };
    pip: Record<string, string>;
  }) {
    this.#scratch = parts.scratch;
    this.relay = parts.relay;
    this.#ports = parts.ports;
    this.#pip = parts.pip;
    this.url = `http://127.0.0.1:${parts.ports.site}`;
  }

  /** sshd runs, nginx and supervisord not yet: see `serve`. */
  static async start(name: string): Promise<PeerHost> {
    await using stack = new AsyncDisposableStack();
    const scratch = stack.use(new Scratch(`peer-${name}`));
    const [site = 0, ssh = 0] = await freePorts(2);
    const relay = stack.use(await CountingRelay.start(() => ssh));
    const host = new PeerHost({ scratch, relay, ports: { site, ssh }, pip: await offlinePip() });
    await host.#startSshd();
    stack.move();
    return host;
  }

  path(...parts: string[]): string {
    return join(this.#scratch.path, ...parts);
  }

  /** Variables of a deploy on this host. */
  get env(): NodeJS.ProcessEnv {
    return { PATH: systemPath, HOME: this.#scratch.path, LANG: "C.UTF-8", ...this.#pip };
  }

  /** What pip must know on the host, as words for its shell. */
  get pip(): string {
    return Object.entries(this.#pip)
      .map(([name, value]) => `${name}=${value}`)
      .join(" ");
  }

  /** Words with which `ssh` reaches the host, through the relay that counts. */
  get ssh(): string[] {
    const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"];
    const words = options.flatMap((option) => ["-o", option]);
    return ["ssh", "-F", "none", "-i", this.key, "-p", `${this.relay.port}`, ...words];
  }

  get key(): string {
    return this.path("key");
  }

  /** @throws Error with what it printed when it fails */
  async run(argv: string[], cwd = this.#scratch.path): Promise<string> {
    const { code, stdout, stderr } = await runProgram(argv, { cwd, env: this.env });
    if (code !== 0) throw new Error(`${argv.join(" ")} failed with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** A script on the host, over ssh. */
  async remote(script: string): Promise<string> {
    return await this.run([...this.ssh, "127.0.0.1", `set -e; ${script}`]);
  }

  /** Words of `supervisorctl` and of nginx on the host. */
  get supervisorctl(): string {
    return `supervisorctl -c ${this.path("supervisord.conf")}`;
  }

  get reload(): string {
    return `nginx -c ${this.path("nginx.conf")} -s reload`;
  }

  /**
   * The upstream of nginx, where the sockets of a group are. With `max_fails=0` nginx tries again at once; by its default it would
   * keep away from instances that restart for ten seconds more, which is no fault of the tool.
   */
  upstreamOf(group: string): string {
    const servers = [0, 1].map((index) => `server unix:${this.#socket(group, index)} max_fails=0;`);
    return `upstream app { ${servers.join(" ")} }\n`;
  }

  get upstreamFile(): string {
    return this.path("upstream.conf");
  }

  /** Starts supervisord with these groups, and nginx in front of the first. */
  async serve(groups: Group[]): Promise<void> {
    mkdirSync(this.path("run"), { recursive: true });
    writeFileSync(this.path("supervisord.conf"), this.#supervisordConf(groups));
    writeFileSync(this.upstreamFile, this.upstreamOf(groups[0]?.name ?? ""));
    writeFileSync(this.path("nginx.conf"), this.#nginxConf());
    await this.#daemon(["supervisord", "-n", "-s", "-c", this.path("supervisord.conf")]);
    await this.#daemon(["nginx", "-c", this.path("nginx.conf"), "-g", "daemon off;"]);
    await this.answers();
  }

  /** Until the site answers as it should. @throws Error when it does not */
  async answers(): Promise<void> {
    const deadline = performance.now() + startMs;
    for (;;) {
      const status = await fetch(`${this.url}/version`).then(
        (answer) => answer.status,
        () => undefined,
      );
      if (status === 200) return;
      if (performance.now() > deadline) throw new Error(`the site of a peer answers ${status}`);
      await sleep(50);
    }
  }

  async #startSshd(): Promise<void> {
    for (const name of ["key", "host-key"]) {
      await this.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.path(name)]);
    }
    const settings = [
      `Port ${this.#ports.ssh}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${this.path("host-key")}`,
      `AuthorizedKeysFile ${this.path("key.pub")}`,
      `PidFile ${this.path("sshd.pid")}`,
      "StrictModes no",
      "UsePAM yes",
      "PasswordAuthentication no",
      "PermitRootLogin prohibit-password",
    ];
    writeFileSync(this.path("sshd_config"), `${settings.join("\n")}\n`);
    const made = process.geteuid?.() === 0 && !existsSync(separation);
    if (made) mkdirSync(separation, { mode: 0o755 });
    if (made) process.once("exit", () => rmdirSync(separation));
    await this.#daemon(["/usr/sbin/sshd", "-D", "-e", "-f", this.path("sshd_config")]);
    const deadline = performance.now() + startMs;
    while (!existsSync(this.path("sshd.pid"))) {
      if (performance.now() > deadline) throw new Error("sshd did not start");
      await sleep(50);
    }
  }

  /** It ends with the directory. */
  async #daemon([program = "", ...args]: string[]): Promise<void> {
    const child = spawn(program, args, { cwd: this.#scratch.path, env: this.env, stdio: "ignore" });
    await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    if (child.pid !== undefined) this.#scratch.adopt(processId(child.pid));
  }

  #socket(group: string, index: number): string {
    return this.path("run", `${group}-${index}.sock`);
  }

  #supervisordConf(groups: Group[]): string {
    const programs = groups.flatMap((group) => [this.#program(group, 0), this.#program(group, 1)]);
    const joined = groups.map(({ name }) => `[group:${name}]\nprograms=${name}-0,${name}-1`);
    const socket = this.path("supervisor.sock");
    return `${[
      `[unix_http_server]\nfile=${socket}`,
      `[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=${this.path("supervisord.pid")}`,
      "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
      `[supervisorctl]\nserverurl=unix://${socket}`,
      ...programs,
      ...joined,
    ].join("\n\n")}\n`;
  }

  #program({ name, directory, autostart }: Group, index: number): string {
    const gunicorn = `${this.path("venv/bin/gunicorn")} --workers 1 --threads 16 --umask 0`;
    return [
      `[program:${name}-${index}]`,
      `command=${gunicorn} --bind unix:${this.#socket(name, index)} market.wsgi:application`,
      `directory=${directory}`,
      `autostart=${autostart}`,
      "stdout_logfile=NONE\nstderr_logfile=NONE\nstopwaitsecs=40",
    ].join("\n");
  }

  #nginxConf(): string {
    const root = process.geteuid?.() === 0 ? "user root;\n" : "";
    return `${root}pid ${this.path("nginx.pid")};
error_log ${this.path("nginx-error.log")};
events { worker_connections 4096; }
http {
  access_log off;
  include ${this.upstreamFile};
  server {
    listen 127.0.0.1:${this.#ports.site};
    location / { proxy_pass http://app; proxy_set_header Host localhost; }
  }
}
`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay[Symbol.asyncDispose]();
    await this.#scratch[Symbol.asyncDispose]();
  }
}
