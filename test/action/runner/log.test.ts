import { describe, expect, it } from "vitest";
import { Log } from "../../../action/runner/log.ts";
import { RecordedConsole } from "../recorded-console.ts";

describe("the log", () => {
  it("prints what came from a host only while the runner takes no commands", () => {
    const console = new RecordedConsole();
    const log = new Log(console);
    log.untrusted("::error::taken over\n::add-mask::x");
    log.annotate("web1", "the reason");
    expect(console.taken).toEqual([{ command: "error", text: "web1: the reason" }]);
    expect(console.lines).toContain("::error::taken over");
  });

  it("stops the commands with another word each time, so that a host cannot know it", () => {
    const console = new RecordedConsole();
    const log = new Log(console);
    for (let round = 0; round < 2; round++) {
      log.untrusted("x");
      log.endGroup();
    }
    const words = console.lines.filter((line) => line.startsWith("::stop-commands::"));
    expect(new Set(words).size).toBe(2);
  });

  it("guards also a line of our own that holds a host's text", () => {
    const console = new RecordedConsole();
    const log = new Log(console);
    log.line("web1: see ##[error]x");
    log.line("::set-output name=a::b");
    expect(console.taken).toEqual([]);
  });

  it("takes terminal sequences and control characters away, and starts no line at a carriage return", () => {
    const console = new RecordedConsole();
    new Log(console).line("a\u001b[31mred\u001b[0m\u0007 \u001b]0;title\u0007b\r::error::c\u0000");
    expect(console.lines.filter((line) => !/^::[0-9a-f-]+::$|^::stop/.test(line))).toEqual(["ared b", "::error::c"]);
    expect(console.taken).toEqual([]);
  });

  it("takes away what cannot be seen or turns the writing around: a file would be shown under another name", () => {
    const console = new RecordedConsole();
    new Log(console).warn("a\u202egpj.py\u2066 b\u200b\u00ad\u{e0041}c\td", { file: "shop/\u202egpj.py" });
    expect(console.taken).toEqual([{ command: "warning", text: "shop/gpj.py: agpj.py bc\td" }]);
  });

  it("masks a secret also in the middle of a host's text", () => {
    const console = new RecordedConsole();
    const log = new Log(console);
    log.untrusted("x");
    log.mask("secret");
    log.untrusted("::error::y");
    expect(console.taken).toEqual([{ command: "mask", text: "secret" }]);
  });

  it("ends a group before the next one, since groups do not nest", () => {
    const console = new RecordedConsole();
    const log = new Log(console);
    log.startGroup("one");
    log.untrusted("x");
    log.startGroup("two");
    log.endGroup();
    expect(console.taken.map(({ command }) => command)).toEqual(["group", "endgroup", "group", "endgroup"]);
  });
});
