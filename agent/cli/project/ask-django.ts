import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type DjangoSettings, settingsFrom } from "../../../shared/detect/django-settings.ts";

const limitMs = 10_000;

/** What the settings are once Django has loaded them. Only texts, lists and maps are printed. */
const question = `
import json, sys
from django.conf import settings

def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)

names = ["STATIC_URL", "STATIC_ROOT", "MEDIA_URL", "MEDIA_ROOT", "INSTALLED_APPS", "DATABASES", "LOGGING", "STORAGES", "STATICFILES_STORAGE", "COMPRESS_OFFLINE"]
values = {name: plain(getattr(settings, name, None)) for name in names}
values["DATABASES"] = {key: {"ENGINE": each.get("ENGINE"), "NAME": each.get("NAME")} for key, each in (values["DATABASES"] or {}).items()}
print("\\n@@" + json.dumps({"values": values, "named": names, "lines": {}}), end="")
`;

/**
 * Asks Django itself, in the project's own environment if it has one, for a few seconds at most. This runs the project's
 * settings, as its developers do all day.
 * @param folder that of manage.py
 * @returns undefined if Django or the settings cannot be imported here
 */
export function askDjango(directory: string, folder: string, module: string): DjangoSettings | undefined {
  const own = [".venv", "venv", "env"]
    .map((name) => join(directory, name, "bin/python"))
    .find((path) => existsSync(path));
  const active = process.env.VIRTUAL_ENV === undefined ? undefined : join(process.env.VIRTUAL_ENV, "bin/python");
  const cwd = join(directory, folder);
  const env = {
    ...process.env,
    DJANGO_SETTINGS_MODULE: module,
    PYTHONPATH: [cwd, directory].join(delimiter),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const options = { cwd, env, timeout: limitMs, maxBuffer: 8 * 1024 * 1024 };
  const { status, stdout } = spawnSync(own ?? active ?? "python3", ["-c", question], {
    ...options,
    killSignal: "SIGKILL",
  });
  if (status !== 0) return undefined;
  try {
    const printed: unknown = JSON.parse(stdout.toString("utf8").split("\n@@").at(-1) ?? "");
    return settingsFrom(printed, directory, folder);
  } catch {
    return undefined;
  }
}
