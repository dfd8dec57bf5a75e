import type { Sources } from "./looked-at.ts";

/** The class among Django's settings that counts, as django-configurations has it, and what names it. */
export interface Configuration {
  name: string;
  /** The file that names it; undefined if none does. */
  from?: string;
  /** What is named there, if that is for developing. */
  developing?: string;
}

type Look = Pick<Sources, "files" | "modules">;

const named = /DJANGO_CONFIGURATION["']\s*(?:,|\]\s*=)\s*["'](\w+)["']/;
const forDeveloping = /dev|local|test|debug|ci$/i;
const live = ["Production", "Prod", "Live"];

/** @returns undefined for settings that are no classes */
export function configurationOf(
  settings: string,
  path: string,
  gateways: string[],
  look: Look,
): Configuration | undefined {
  const texts = gateways.map((file) => [file, look.files.read(file) ?? ""] as const);
  if (!texts.some(([, text]) => /\bconfigurations\b|DJANGO_CONFIGURATION/.test(text))) return undefined;
  const from = texts.find(([, text]) => named.test(text));
  const given = from && named.exec(from[1])?.[1];
  const production = productionClass(classesOf(settings, path, look));
  if (given !== undefined && from !== undefined && (production === undefined || !forDeveloping.test(given))) {
    return { name: given, from: from[0] };
  }
  if (production === undefined) return undefined;
  return { name: production, ...(from && given !== undefined && { from: from[0], developing: given }) };
}

function productionClass(names: string[]): string | undefined {
  const exact = live.find((name) => names.includes(name));
  return exact ?? names.find((name) => /prod|live/i.test(name) && !/^Pre|Base$|Mixin$/.test(name));
}

/** The classes of the settings, also of those that they import with a star or by name. The text shows them to any Python. */
function classesOf(settings: string, path: string, { files, modules }: Look, depth = 0): string[] {
  const file = modules.locate(settings, [path])?.file;
  if (file === undefined || depth > 3) return [];
  const own = [...(files.read(file) ?? "").matchAll(/^class\s+(\w+)/gm)].map(([, name = ""]) => name);
  const { imports = {}, star = [] } = modules.module(file) ?? {};
  const imported = Object.keys(imports).filter((name) => /^[A-Z]/.test(name));
  return [...own, ...imported, ...star.flatMap((each) => classesOf(each, path, { files, modules }, depth + 1))];
}

/** How settings are asked for: the module, and the class in it. */
export function settingsName(module: string, configuration: string | undefined): string {
  return configuration === undefined ? module : `${module}:${configuration}`;
}
