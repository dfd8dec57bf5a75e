import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { inputDefaults, readInputs } from "../../action/inputs.ts";
import { refusal } from "./workspace.ts";

const hosts = { INPUT_HOSTS: "https://web1.example.com:7070\n https://web2.example.com:7070 \n" };

describe("the inputs", () => {
  it("stand in action.yml with the same names and defaults, each described", () => {
    const { inputs } = parse(readFileSync("action.yml", "utf8")) as {
      inputs: Record<string, { description: string; default: string }>;
    };
    const defaults = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.default]));
    expect(defaults).toEqual(inputDefaults);
    for (const input of Object.values(inputs)) expect(input.description.length).toBeGreaterThan(20);
  });

  it("are parsed, with their defaults where they are absent or empty", () => {
    const inputs = readInputs({ ...hosts, INPUT_RELEASE: "", "INPUT_PIP-ARGUMENTS": "--find-links 'a b'" });
    expect(inputs).toMatchObject({ command: "deploy", dryRun: false, thin: true, timeoutMs: 1_200_000, waitMs: 0 });
    expect(inputs.hosts.map(({ host }) => host)).toEqual(["web1.example.com:7070", "web2.example.com:7070"]);
    expect(inputs.pipArguments).toEqual(["--find-links", "a b"]);
  });

  it("are refused all together", async () => {
    const env = { INPUT_HOSTS: "web1:7070", INPUT_COMMAND: "push", INPUT_TIMEOUT: "soon", "INPUT_DRY-RUN": "yes" };
    const error = await refusal(() => readInputs(env));
    expect(error.code).toBe("input_invalid");
    for (const name of ["hosts", "command", "timeout", "dry-run"]) expect(error.message).toContain(`Input ${name}:`);
  });

  it.each([
    [{}, "hosts"],
    [{ INPUT_HOSTS: "https://a:1\nhttps://a:1" }, "a:1 stands twice"],
    [{ INPUT_HOSTS: "https://a:1/x" }, "must end after the port"],
    [{ ...hosts, INPUT_COMMAND: "activate" }, "release: is required"],
    [{ ...hosts, INPUT_RELEASE: "20261121T103000Z-3f2c1ab" }, "release: is not taken"],
    [{ ...hosts, INPUT_COMMAND: "activate", INPUT_RELEASE: "v2" }, "release: is not a release id"],
    [{ ...hosts, INPUT_COMMAND: "rollback", "INPUT_DRY-RUN": "true" }, "dry-run"],
    [{ ...hosts, INPUT_WAIT: "2h" }, "at most 1h"],
  ])("that cannot go together are refused: %j", async (env, part) => {
    expect((await refusal(() => readInputs(env))).message).toContain(part);
  });

  it("that hold a password are refused without showing it", async () => {
    const error = await refusal(() => readInputs({ INPUT_HOSTS: "https://me:hunter2@web1:7070" }));
    expect(error.message).not.toContain("hunter2");
  });

  it("need no hosts for a dry run", () => {
    expect(readInputs({ "INPUT_DRY-RUN": "true" }).hosts).toEqual([]);
  });
});
