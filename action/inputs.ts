import { parseArgsStringToArgv } from "string-argv";
import { z } from "zod";
import type { Rollout } from "../shared/config.ts";
import { duration, milliseconds } from "../shared/duration.ts";
import { CutoverError } from "../shared/errors.ts";
import { releaseId } from "../shared/names.ts";
import { maxWaitSeconds } from "../shared/protocol.ts";
import { type CanaryStep, canarySteps } from "./hosts/canary-steps.ts";

export const commands = ["deploy", "stage", "activate", "redeploy", "rollback"] as const;
export type Command = (typeof commands)[number];

/** Every input of action.yml, with its name and default there. */
export const inputDefaults = {
  hosts: "",
  config: "cutover.yml",
  "working-directory": ".",
  command: "deploy",
  release: "",
  weight: "100",
  canary: "",
  "canary-check": "",
  parallel: "",
  "canary-hosts": "",
  pause: "",
  "max-failures": "",
  "signing-key": "",
  "dry-run": "false",
  thin: "true",
  "allow-older": "false",
  timeout: "20m",
  wait: "0s",
  "pip-arguments": "",
  "index-url": "",
} as const;
export type InputName = keyof typeof inputDefaults;

export interface Inputs {
  hosts: URL[];
  config: string;
  workingDirectory: string;
  command: Command;
  release: string | undefined;
  /** The part of the traffic for the command `activate`, in percent. */
  weight: number;
  /** The steps below 100. */
  canary: CanaryStep[];
  canaryCheck: string[];
  /** What it says takes the place of `rollout` in cutover.yml, key by key. */
  rollout: Partial<Rollout>;
  signingKey: string;
  dryRun: boolean;
  /** Leave out of the bundle what a host has in its live release. */
  thin: boolean;
  /** Deploy also over a release of a later run of the workflow. */
  allowOlder: boolean;
  timeoutMs: number;
  waitMs: number;
  pipArguments: string[];
  /** Where pip looks for packages in the place of PyPI; empty for its own choice. */
  indexUrl: string;
}

const host = z.string().transform((line, context) => {
  const fault = hostFault(line);
  if (fault === undefined) return new URL(line);
  context.addIssue({ code: "custom", message: `${quoted(line)} ${fault}` });
  return z.NEVER;
});

function hostFault(line: string): string | undefined {
  const url = URL.parse(line);
  if (/^https?:\/\/https?(?::|\/)/i.test(line)) return "begins with two schemes; write https:// once";
  if (url === null || !/^https?:\/\//i.test(line)) {
    return "is not the address of an agent; write it as https://web1.example.com:7070";
  }
  if (url.username !== "" || url.password !== "") return "must not contain a user name or password";
  if (url.search !== "" || url.hash !== "") return "must end after the port or the path";
  return undefined;
}

/** Inputs get into error messages. A password in an address must not get into the log. */
function quoted(text: string): string {
  return JSON.stringify(text.replace(/\/\/[^/@]*@/, "//***@"));
}

const release = z
  .string()
  .refine((text) => text === "" || releaseId.safeParse(text).success, {
    error: "is not a release id; they look like 20261121T103000Z-3f2c1ab",
  })
  .transform((text) => (text === "" ? undefined : text));

/** GitHub replaces a variable that is not set with nothing, and says so nowhere. */
const noHosts =
  "must name at least one agent, and is empty. Is the variable that it names set, in this repository or in the job's `environment`? `gh variable list --env production` shows those of an environment, which only a job with that `environment` gets";

const longestWaitMs = maxWaitSeconds * 1000;

/** A timer of Node ends at once if it is longer than 2^31 ms. */
const longestTimeoutMs = 24 * 86_400_000;

const limit = duration.transform(milliseconds);

const hostCount = z
  .string()
  .regex(/^\d{0,3}$/, "must be a number of hosts")
  .transform((text) => (text === "" ? undefined : Number(text)));

const trueOrFalse = z.enum(["true", "false"], { error: "must be true or false" }).transform((text) => text === "true");

const schema = z
  .object({
    hosts: z
      .string()
      .transform((text) => text.split(/[\n,]/).map((line) => line.trim()))
      .transform((lines) => lines.filter((line) => line !== ""))
      .pipe(z.array(host)),
    config: z.string().min(1, "must name a file"),
    "working-directory": z.string().min(1, "must name a directory"),
    command: z.enum(commands, { error: `must be one of ${commands.join(", ")}` }),
    release,
    weight: z
      .string()
      .regex(/^(?:100|[1-9]\d?)$/, "must be 1 to 100, in percent")
      .transform(Number),
    canary: canarySteps,
    "canary-check": z.string().transform((text) => parseArgsStringToArgv(text)),
    parallel: z
      .string()
      .regex(/^(?:all|[1-9]\d{0,2}|1000)?$/, "must be a number of hosts, or all")
      .transform((text) => (text === "" ? undefined : text === "all" ? "all" : Number(text))),
    "canary-hosts": hostCount,
    pause: z.union([z.literal(""), duration]).transform((text) => (text === "" ? undefined : text)),
    "max-failures": hostCount,
    "signing-key": z.string(),
    "dry-run": trueOrFalse,
    thin: trueOrFalse,
    "allow-older": trueOrFalse,
    timeout: limit
      .refine((ms) => ms > 0, "must be longer than 0s")
      .refine((ms) => ms <= longestTimeoutMs, "must be at most 24d"),
    wait: limit.refine((ms) => ms <= longestWaitMs, "must be at most 1h"),
    "pip-arguments": z.string().transform((text) => parseArgsStringToArgv(text)),
    "index-url": z
      .string()
      .trim()
      .refine((text) => text === "" || /^(?:https?|file):\/\/\S+$/.test(text), {
        error: "is not the address of an index; they look like https://pypi.example.com/simple",
      }),
  })
  .superRefine(({ hosts, "dry-run": dryRun }, context) => {
    const issue = (message: string) => context.addIssue({ code: "custom", path: ["hosts"], message });
    const names = hosts.map((url) => url.host);
    if (names.length === 0 && !dryRun) issue(noHosts);
    for (const name of new Set(names.filter((each, index) => names.indexOf(each) !== index))) {
      issue(`${name} is named twice`);
    }
  })
  .superRefine((value, context) => {
    const issue = (name: InputName, message: string) => context.addIssue({ code: "custom", path: [name], message });
    if (value.command === "activate" && value.release === undefined) {
      issue("release", "is required for the command activate");
    }
    if (value.release !== undefined && value.command !== "activate" && value.command !== "redeploy") {
      issue("release", `is not taken by the command ${value.command}`);
    }
    if (value.weight !== 100 && value.command !== "activate") {
      issue("weight", `is not taken by the command ${value.command}; for a deploy in steps use canary`);
    }
    if (value.canary.length > 0 && value.command !== "deploy") {
      issue("canary", `is not taken by the command ${value.command}`);
    }
    if (value.canary.reduce((sum, { holdMs }) => sum + holdMs, 0) >= value.timeout) {
      issue("canary", "takes longer than the input timeout allows for the whole job");
    }
    if (value["canary-check"].length > 0 && value.canary.length === 0) {
      issue("canary-check", "does nothing without canary");
    }
  })
  .superRefine((value, context) => {
    if (value.command === "deploy" || value.command === "stage") return;
    for (const name of ["dry-run", "allow-older"] as const) {
      const message = `does nothing for the command ${value.command}`;
      if (value[name]) context.addIssue({ code: "custom", path: [name], message });
    }
  });

/**
 * Reads the inputs as the runner passes them: `INPUT_<NAME>` in the environment; absent or empty means the default. Not
 * with core.getInput, which reads the process's own environment only, stops at the first fault and knows no defaults.
 * @throws CutoverError input_invalid, which names every wrong input
 */
export function readInputs(env: NodeJS.ProcessEnv): Inputs {
  const texts = Object.entries(inputDefaults).map(([name, fallback]) => {
    const text = env[`INPUT_${name.toUpperCase()}`]?.trim();
    return [name, text === undefined || text === "" ? fallback : text];
  });
  const result = schema.safeParse(Object.fromEntries(texts));
  if (!result.success) throw refusal(result.error);
  const { data } = result;
  return {
    hosts: data.hosts,
    config: data.config,
    workingDirectory: data["working-directory"],
    command: data.command,
    release: data.release,
    weight: data.weight,
    canary: data.canary.filter(({ weight }) => weight < 100),
    canaryCheck: data["canary-check"],
    rollout: given({
      parallel: data.parallel,
      canary_hosts: data["canary-hosts"],
      pause: data.pause,
      max_failures: data["max-failures"],
    }),
    signingKey: data["signing-key"],
    dryRun: data["dry-run"],
    thin: data.thin,
    allowOlder: data["allow-older"],
    timeoutMs: data.timeout,
    waitMs: data.wait,
    pipArguments: data["pip-arguments"],
    indexUrl: data["index-url"],
  };
}

/** Without the keys that nobody gave. */
function given<T extends object>(keys: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined)) as never;
}

function refusal(error: z.ZodError): CutoverError {
  const lines = error.issues.map(({ path, message }) => `Input ${String(path[0])}: ${message}`);
  return new CutoverError("input_invalid", lines.join("\n"), {
    unchanged: "Nothing was sent.",
    fix: "Correct `with:` of this step. The inputs are described in action.yml.",
  });
}
