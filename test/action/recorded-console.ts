import type { Console } from "../../action/runner/log.ts";

/** What the runner would make of the lines: which commands it takes while others are stopped. */
export class RecordedConsole implements Console {
  readonly lines: string[] = [];
  readonly taken: { command: string; text: string }[] = [];
  #stopped: string | undefined;

  info(message: string): void {
    for (const line of message.split(/\r\n|[\r\n]/)) this.#line(line);
  }

  startGroup(name: string): void {
    this.#command("group", name);
  }

  endGroup(): void {
    this.#command("endgroup", "");
  }

  error(message: string, { title }: { title: string }): void {
    this.#command("error", `${title}: ${message}`);
  }

  warning(message: string, { title }: { title: string }): void {
    this.#command("warning", `${title}: ${message}`);
  }

  setSecret(secret: string): void {
    this.#command("mask", secret);
  }

  /** The lines without the runner's commands. */
  get text(): string {
    return this.lines.join("\n");
  }

  #line(line: string): void {
    this.lines.push(line);
    if (this.#stopped !== undefined) {
      if (line.trim() === `::${this.#stopped}::`) this.#stopped = undefined;
      return;
    }
    const [, command, text = ""] = /^\s*::([\w-]+)[^:]*::(.*)$/.exec(line) ?? [];
    if (command === "stop-commands") this.#stopped = text;
    else if (command !== undefined || line.includes("##[")) this.taken.push({ command: command ?? "##", text });
  }

  #command(command: string, text: string): void {
    if (this.#stopped !== undefined) throw new Error(`${command} while commands are stopped`);
    this.taken.push({ command, text });
  }
}
