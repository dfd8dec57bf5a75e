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

  it("are parsed, with their defaults if they are absent or empty", () => {
    const inputs = readInputs({ ...hosts, INPUT_RELEASE: "", "INPUT_PIP-ARGUMENTS": "--find-links 'a b'" });
    expect(inputs).toMatchObject({ command: "deploy", dryRun: false, thin: true, timeoutMs: 1_200_000, waitMs: 0 });
    expect(inputs.hosts.map(({ host }) => host)).toEqual(["web1.example.com:7070", "web2.example.com:7070"]);
    expect(inputs.pipArguments).toEqual(["--find-links", "a b"]);
  });

  it("take a gray release in steps", () => {
    const inputs = readInputs({
      ...hosts,
      INPUT_CANARY: "5@2m, 25@5m,50, 100",
      "INPUT_CANARY-CHECK": "sh check.sh 'a b'",
    });
    expect(inputs.canary).toEqual([
      { weight: 5, holdMs: 120_000 },
      { weight: 25, holdMs: 300_000 },
      { weight: 50, holdMs: 0 },
    ]);
    expect(inputs.canaryCheck).toEqual(["sh", "check.sh", "a b"]);
  });

  it("are refused all together", async () => {
    const env = { INPUT_HOSTS: "web1:7070", INPUT_COMMAND: "push", INPUT_TIMEOUT: "soon", "INPUT_DRY-RUN": "yes" };
    const error = await refusal(() => readInputs(env));
    expect(error.code).toBe("input_invalid");
    for (const name of ["hosts", "command", "timeout", "dry-run"]) expect(error.message).toContain(`Input ${name}:`);
  });

  it.each([
    [{}, "hosts"],
    [{ INPUT_HOSTS: "https://https://web1.example.com:7070" }, "begins with two schemes"],
    [{ INPUT_HOSTS: "" }, "Is the variable that it names set, in this repository or in the job's `environment`?"],
    [{ INPUT_HOSTS: "https://a:1\nhttps://a:1" }, "a:1 is named twice"],
    [{ INPUT_HOSTS: "https://a:1/x?y=1" }, "must end after the port or the path"],
    [{ INPUT_HOSTS: "https://a:1/x\nhttps://a:1/y" }, "a:1 is named twice"],
    [{ ...hosts, INPUT_COMMAND: "activate" }, "release: is required"],
    [{ ...hosts, INPUT_RELEASE: "20261121T103000Z-3f2c1ab" }, "release: is not taken"],
    [{ ...hosts, INPUT_COMMAND: "activate", INPUT_RELEASE: "v2" }, "release: is not a release id"],
    [{ ...hosts, INPUT_COMMAND: "rollback", "INPUT_DRY-RUN": "true" }, "dry-run"],
    [{ ...hosts, INPUT_WAIT: "2h" }, "at most 1h"],
    [{ ...hosts, INPUT_CANARY: "0@1m, 100" }, "canary: a weight is 1 to 100 percent, not 0"],
    [{ ...hosts, INPUT_CANARY: "5@1m, 101" }, "canary: a weight is 1 to 100 percent, not 101"],
    [{ ...hosts, INPUT_CANARY: "25, 5, 100" }, "canary: each step must have more"],
    [{ ...hosts, INPUT_CANARY: "5@1m, 25@1m" }, "canary: the last step must be 100"],
    [{ ...hosts, INPUT_CANARY: "5 percent" }, 'canary: "5 percent" is not a step'],
    [{ ...hosts, INPUT_CANARY: "auto@5m" }, "canary: takes longer than the input timeout"],
    [{ ...hosts, INPUT_CANARY: "auto, 100" }, 'canary: "auto" is not a step'],
    [{ ...hosts, INPUT_CANARY: "5@20m, 100" }, "canary: takes longer than the input timeout"],
    [{ ...hosts, INPUT_CANARY: "5@1m, 100", INPUT_COMMAND: "stage" }, "canary: is not taken"],
    [{ ...hosts, "INPUT_CANARY-CHECK": "curl x" }, "canary-check: does nothing without canary"],
    [{ ...hosts, INPUT_WEIGHT: "25" }, "weight: is not taken by the command deploy"],
    [{ ...hosts, INPUT_WEIGHT: "0", INPUT_COMMAND: "activate" }, "weight: must be 1 to 100"],
  ])("that cannot go together are refused: %j", async (env, part) => {
    expect((await refusal(() => readInputs(env))).message).toContain(part);
  });

  it("A16: a timeout that no timer can hold is refused", async () => {
    const error = await refusal(() => readInputs({ ...hosts, INPUT_TIMEOUT: "25d" }));
    expect(error.message).toBe("Input timeout: must be at most 24d");
    expect(readInputs({ ...hosts, INPUT_TIMEOUT: "24d" }).timeoutMs).toBeLessThan(2 ** 31);
  });

  it("that hold a password are refused without showing it", async () => {
    const error = await refusal(() => readInputs({ INPUT_HOSTS: "https://me:hunter2@web1:7070" }));
    expect(error.message).not.toContain("hunter2");
  });

  it("need no hosts for a dry run", () => {
    expect(readInputs({ "INPUT_DRY-RUN": "true" }).hosts).toEqual([]);
  });
});
