import { request } from "node:http";
import { AgentClient } from "../../../agent/cli/client.ts";
import type { Finding } from "../../../agent/doctor/finding.ts";
import { type RunningPage, startPage } from "../../../agent/ui/server.ts";
import { fakeTimes } from "../../fakes/app-view.ts";
import { TestHost } from "../cli/support.ts";

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: Record<string, string>;
  /** Called with the first parts of a stream, which is then read to its end; without it, the first are enough. */
  onFirst?: () => void;
}

/** A host whose agent answers, with a page over it, and whoever opens the page. */
export class PageHost implements AsyncDisposable {
  readonly host: TestHost;
  readonly page: RunningPage;
  readonly findings: Finding[];
  /** Milliseconds that pass by. */
  readonly clock: { now: number };
  #cookie = "";

  private constructor(host: TestHost, page: RunningPage, parts: Pick<PageHost, "findings" | "clock">) {
    this.host = host;
    this.page = page;
    this.findings = parts.findings;
    this.clock = parts.clock;
  }

  static async start(): Promise<PageHost> {
    const host = await TestHost.make();
    await host.startAgent();
    const findings: Finding[] = [];
    const clock = { now: Date.parse(fakeTimes.later) };
    const agent = new AgentClient(host.path("agent.sock"), { user: "anna" });
    const source = { agent, doctor: async () => findings, now: () => clock.now, host: "web1", user: "anna" };
    return new PageHost(host, await startPage(source, 0), { findings, clock });
  }

  get origin(): string {
    return `http://127.0.0.1:${this.page.port}`;
  }

  get cookie(): string {
    return this.#cookie;
  }

  /** As a browser does: opens the address, keeps the cookie. */
  async enter(): Promise<Answer> {
    const answer = await this.ask(this.page.newAddress().slice(this.origin.length));
    this.#cookie = String(answer.headers["set-cookie"] ?? "").split(";")[0] ?? "";
    return answer;
  }

  /** With the cookie, unless the headers have another one. */
  async ask(path: string, { method = "GET", headers = {}, body, onFirst }: Asked = {}): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const form = body === undefined ? undefined : String(new URLSearchParams(body));
    const sent = {
      ...(this.#cookie !== "" && { cookie: this.#cookie }),
      ...(form !== undefined && { "content-type": "application/x-www-form-urlencoded" }),
      ...headers,
    };
    const call = request({ host: "127.0.0.1", port: this.page.port, path, method, headers: sent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (!response.headers["content-type"]?.startsWith("text/event-stream")) return;
        if (text.includes('"id":"lost"')) (onFirst ?? (() => response.destroy()))();
      });
      response.once("close", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    call.once("error", reject);
    call.end(form);
    return promise;
  }

  /** A form of the page itself. */
  send(path: string, body: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(path, { method: "POST", body, headers: { origin: this.origin, ...headers } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
    await this.host.close();
  }
}
