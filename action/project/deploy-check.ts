import { readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { z } from "zod";
import { argv } from "../../shared/command.ts";
import { type Config, siteOf } from "../../shared/config.ts";
import { portOf } from "../../shared/config-site.ts";
import { startReadingSettings } from "../../shared/detect/django-settings.ts";
import { findProgram } from "../../shared/find-program.ts";
import type { Exec } from "../runner/exec.ts";
import { withoutSecrets } from "../runner/secrets.ts";
import { deadline, type Time } from "../runner/time.ts";
import type { Noticed } from "./warning.ts";

export interface DeployCheckContext {
  directory: string;
  env: NodeJS.ProcessEnv;
  /** The programs of the build environment, which come before PATH; undefined if there is none. */
  bin: string | undefined;
  exec: Exec;
  time: Time;
  signal: AbortSignal;
}

/** A project that takes longer to load is not waited for: this is advice. */
const limitMs = 20_000;

/** `manage.py shell` loads the settings as collectstatic does. What a thread of the project still does is not waited for. */
const program = `
import json, os, sys
from django.conf import settings
from django.core import checks
found = [each for each in checks.run_checks(include_deployment_checks=True) if not each.is_silenced()]
names = ["ALLOWED_HOSTS", "SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"]
values = {name: getattr(settings, name, None) for name in names}
faults = [" ".join(str(each).split()) for each in found if each.level >= checks.ERROR]
said = {"ids": [each.id for each in found], "faults": faults, "module": settings.SETTINGS_MODULE, "values": values}
print("\\n@@" + json.dumps(said, default=str), flush=True)
os._exit(0)
`;

const answer = z.object({
  ids: z.array(z.string().nullable()),
  faults: z.array(z.string()),
  module: z.string(),
  values: z.object({
    ALLOWED_HOSTS: z.array(z.string()),
    SECURE_SSL_REDIRECT: z.boolean(),
    SECURE_PROXY_SSL_HEADER: z.unknown(),
    SESSION_COOKIE_SECURE: z.boolean(),
    CSRF_COOKIE_SECURE: z.boolean(),
  }),
});
type Answer = z.infer<typeof answer>;

/**
 * What Django's own `check --deploy` and its settings say that visitors would notice, with the place in the settings. Django is
 * asked where it collects static files, so that it can be imported.
 * @returns nothing for a project that is not Django's, or whose settings cannot be loaded here, or not in time
 * @throws the signal's reason if it is aborted
 */
export async function deployCheck(config: Config, context: DeployCheckContext): Promise<Noticed[]> {
  const collect = config.static.map((entry) => argv(entry.collect ?? [])).find((words) => managePlace(words) >= 0);
  const module = collect && settingsModule(config, context.directory);
  if (collect === undefined || module === undefined) return [];
  const said = await ask(collect, module, config, context);
  if (said === undefined) return [];
  const manage = collect[managePlace(collect)] ?? "";
  const folder = manage.includes("/") ? manage.slice(0, manage.lastIndexOf("/")) : "";
  const settings = await startReadingSettings(context.directory, folder, said.module);
  const place = (name: string) => placeOf(context.directory, settings?.where[name]);
  // `check` has said it from the text alone.
  const debug = said.ids.includes("security.W018") && settings?.debug !== true ? debugNotice() : [];
  const all = [...debug, ...hostNotices(config, said), ...httpNotices(config, said)];
  return [
    ...all.map(({ setting, message }) => ({ ...place(setting), message })),
    ...said.faults.slice(0, 3).map((fault) => ({ message: `Django's check fails: ${fault}` })),
  ];
}

const managePlace = (words: string[]) =>
  words[words.indexOf("collectstatic") - 1]?.endsWith("manage.py") === true ? words.indexOf("collectstatic") - 1 : -1;

/** The settings that visitors get: manage.py may have others, for developing. */
function settingsModule(config: Config, directory: string): string | undefined {
  const { DJANGO_SETTINGS_MODULE: given, PYTHONPATH: path = "" } = config.env;
  if (given !== undefined) return given;
  const module = config.server.app?.split(":")[0]?.replaceAll(".", "/") ?? "";
  const file = [path, "", "src"].map((base) => join(directory, base, `${module}.py`)).find(isFile);
  const text = file === undefined ? "" : readFileSync(file, "utf8");
  return /DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']/.exec(text)?.[1];
}

/** A link to a device would be read without end. */
function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

async function ask(
  collect: string[],
  module: string,
  config: Config,
  { directory, env, bin, exec, time, signal }: DeployCheckContext,
): Promise<Answer | undefined> {
  const inherited = withoutSecrets(env);
  const path = [bin, inherited.PATH].filter((part) => part !== undefined).join(delimiter);
  const [name = ""] = collect;
  const found = findProgram(name, path, directory) ?? findProgram("python3", path, directory);
  if (found === undefined) return undefined;
  const words = [...collect.slice(1, managePlace(collect) + 1), "shell", "-c", program];
  const limit = deadline(time, limitMs);
  try {
    const { stdout } = await exec({
      argv: [found, ...words],
      cwd: directory,
      env: { ...inherited, ...config.env, DJANGO_SETTINGS_MODULE: module, PATH: path },
      signal: AbortSignal.any([signal, limit]),
      inBackground: true,
    });
    return answer.parse(JSON.parse(stdout.split("@@").at(-1) ?? ""));
  } catch (thrown) {
    signal.throwIfAborted();
    if (limit.aborted || thrown instanceof SyntaxError || thrown instanceof z.ZodError) return undefined;
    throw thrown;
  }
}

interface Notice {
  setting: string;
  message: string;
}

function debugNotice(): Notice[] {
  const fix = "let the settings read it from the environment, with False as the default";
  return [
    { setting: "DEBUG", message: `DEBUG is True, so visitors see the source and the settings at each error: ${fix}` },
  ];
}

function hostNotices(config: Config, { ids, values: { ALLOWED_HOSTS: allowed } }: Answer): Notice[] {
  const setting = "ALLOWED_HOSTS";
  const names = (siteOf(config).server_name ?? []).filter((name) => /^[a-z0-9]/.test(name));
  const refused = names.filter((name) => !allowed.some((pattern) => admitsHost(pattern, name)));
  if (refused.length > 0) {
    const fix = `write ${setting} = [${names.map((name) => `"${name}"`).join(", ")}]`;
    return [
      { setting, message: `${setting} lacks ${refused.join(", ")}, so Django answers 400 to visitors there: ${fix}` },
    ];
  }
  if (names.length > 0 || !ids.includes("security.W020")) return [];
  const fix = `write ${setting} = ["shop.example.com"], with the site's own domain`;
  return [{ setting, message: `${setting} is empty, so Django answers 400 to every visitor: ${fix}` }];
}

/** As Django compares them. */
function admitsHost(pattern: string, host: string): boolean {
  const wanted = pattern.toLowerCase();
  if (wanted.startsWith(".")) return host === wanted.slice(1) || host.endsWith(wanted);
  return wanted === "*" || wanted === host;
}

/** Servers that tell the app by themselves whether the visitor came by https. */
const tellsScheme = new Set(["gunicorn", "uwsgi", "uvicorn", "daphne", "waitress"]);

function httpNotices(config: Config, { values }: Answer): Notice[] {
  const setting = "SECURE_SSL_REDIRECT";
  const plain =
    siteOf(config).listen?.every((address) => !/ ssl$/.test(String(address)) && portOf(address) !== 443) === true;
  if (plain) {
    const fix = 'add "443 ssl" to site.listen';
    const cookies = (["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"] as const).filter((name) => values[name]);
    const none = `the site listens without TLS: ${fix}, unless a load balancer in front of it has the certificate`;
    return [
      ...(values[setting] ? [{ setting, message: `${setting} sends every visitor to https, and ${none}` }] : []),
      ...cookies.map((name) => ({
        setting: name,
        message: `${name} is True, so browsers keep no such cookie and nobody can log in, since ${none}`,
      })),
    ];
  }
  if (!values[setting] || values.SECURE_PROXY_SSL_HEADER || tellsScheme.has(config.server.kind)) return [];
  const fix = 'write SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")';
  return [
    {
      setting,
      message: `${setting} without SECURE_PROXY_SSL_HEADER sends visitors round in a circle, since TLS ends at nginx: ${fix}`,
    },
  ];
}

/** A file and a line of `shop/settings.py:12`. */
function placeOf(directory: string, where: string | undefined): Pick<Noticed, "file" | "line" | "unsure"> {
  const [, file = "", number = ""] = /^(.+):(\d+)$/.exec(where ?? "") ?? [];
  if (file === "") return { unsure: true };
  const line = Number(number);
  const text = readFileSync(join(directory, file), "utf8").split("\n")[line - 1] ?? "";
  return { file, line, ...(/environ|getenv|\bconfig\(|\benv\b/.test(text) && { unsure: true }) };
}
