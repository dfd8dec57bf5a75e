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
    expect(groups).toEqual(["b: build the environment (1.2s)", "a: build the environment (1.3s)"]);
    expect(console.text.indexOf("pip of b")).toBeLessThan(console.text.indexOf("pip of a"));
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

  it("tells how far an upload is, at its end in any case, and not at each piece", () => {
    const console = new RecordedConsole();
    const host = new HostLog(new Log(console), "a", "groups");
    for (let sent = 0; sent <= 1000; sent++) host.progress(sent * 1000, 1_000_000);
    expect(console.lines).toEqual(["a: upload 0 % (0 B of 1 MB)", "a: upload 100 % (1 MB of 1 MB)"]);
  });
});
