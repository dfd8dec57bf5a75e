import { describe, expect, it } from "vitest";
import { HostLog } from "../../../action/hosts/host-log.ts";
import { Log } from "../../../action/runner/log.ts";
import { RecordedConsole } from "../recorded-console.ts";

describe("a host's part of the log", () => {
  it("is a group for each phase, whole, when several hosts speak at the same time", () => {
    const console = new RecordedConsole();
    const log = new Log(console);
    const [a, b] = [new HostLog(log, "a", "groups"), new HostLog(log, "b", "groups")];
    a.output("build the environment", "pip of a");
    b.output("build the environment", "pip of b");
    expect(console.lines).toEqual([]);
    b.phase("build the environment", 1200);
    a.phase("build the environment", 1300, "environment x made");
    const groups = console.taken.filter(({ command }) => command === "group").map(({ text }) => text);
    expect(groups).toEqual(["b: build the environment (1.2s)", "a: build the environment (1.3s): environment x made"]);
    expect(console.text.indexOf("pip of b")).toBeLessThan(console.text.indexOf("pip of a"));
  });

  it("is a line for a phase that printed nothing", () => {
    const console = new RecordedConsole();
    const host = new HostLog(new Log(console), "a", "live");
    host.phase("verify", 27);
    host.phase("cut over", 160, "nginx was reloaded\n::error::not of ours");
    expect(console.taken.filter(({ command }) => command === "group" || command === "error")).toEqual([]);
    expect(console.lines.slice(0, 1)).toEqual(["a: verify (27ms)"]);
    expect(console.lines).toContain("a: cut over (160ms): nginx was reloaded");
  });

  it("is printed as it comes when there is one host", () => {
    const console = new RecordedConsole();
    const host = new HostLog(new Log(console), "a", "live");
    host.output("build the environment", "Collecting django");
    expect(console.taken).toEqual([{ command: "group", text: "a: build the environment" }]);
    expect(console.lines).toContain("Collecting django");
    host.phase("build the environment", 5);
    expect(console.taken.at(-1)).toEqual({ command: "endgroup", text: "" });
  });

  it("shows also what a phase said that did not end", () => {
    const console = new RecordedConsole();
    const host = new HostLog(new Log(console), "a", "groups");
    host.output("health check", "waiting for web-0");
    host.flush("health check");
    expect(console.taken[0]).toEqual({ command: "group", text: "a: health check (not finished)" });
    expect(console.lines).toContain("waiting for web-0");
  });

  it("tells how far a long upload is, not at each piece, and the size at its end", () => {
    const times = [0, 100, 2100, 2200, 4500, 4600];
    const console = new RecordedConsole();
    const host = new HostLog(new Log(console), "a", "groups", () => times.shift() ?? 5000);
    for (const sent of [0, 1, 30, 31, 75, 100]) host.progress(sent * 10_000, 1_000_000);
    host.phase("upload", 4600);
    expect(console.lines).toEqual([
      "a: upload 30 % (300 kB of 1 MB)",
      "a: upload 75 % (750 kB of 1 MB)",
      "a: upload (4.6s): 1 MB",
    ]);
  });
});
