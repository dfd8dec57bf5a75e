import { createCipheriv } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { seededRandom } from "../harness/random.ts";
import {
  appUrlsSource,
  appViewsSource,
  moduleSource,
  settingsSource,
  urlsSource,
  viewsSource,
  wsgiSource,
} from "./python-source.ts";
import type { ProjectScale } from "./sizes.ts";

const appNames = [
  "catalog",
  "checkout",
  "customers",
  "delivery",
  "discounts",
  "reports",
  "search",
  "staff",
  "support",
  "taxes",
];

export interface ProjectSize {
  files: number;
  bytes: number;
}

/**
 * A Django project; the same scale and seed give the same bytes. Loading the full one takes about a second, of which
 * Django itself is a third.
 * @param directory may be there already, with the same project of an earlier run
 */
export function writeProject(directory: string, scale: ProjectScale, seed = 1): ProjectSize {
  const apps = appNames.slice(0, scale.apps);
  const writer = new ProjectWriter(directory, seed);
  writer.text("manage.py", manageSource, 0o755);
  writer.text("requirements.txt", "Django>=3.2\ngunicorn>=20.1\n");
  writer.text("cutover.yml", stringify(config));
  writer.text("market/__init__.py", "");
  writer.text("market/version.py", versionSource(1));
  writer.text("market/settings.py", settingsSource(apps));
  writer.text("market/urls.py", urlsSource(apps));
  writer.text("market/views.py", viewsSource);
  writer.text("market/wsgi.py", wsgiSource);
  for (const [index, app] of apps.entries()) writeApp(writer, scale, app, index);
  for (let index = 0; index < scale.largeFiles; index++) {
    writer.bytes(`assets/media/film_${index}.mp4`, scale.largeBytes);
  }
  return { files: writer.files, bytes: writer.size };
}

/** The change that a small deploy carries: one line in one file. */
export function changeOneFile(directory: string, number: number): void {
  writeFileSync(join(directory, "market/version.py"), versionSource(number));
}

/** What `/version` answers first. */
export function versionOf(directory: string): string {
  return /"(.*)"/.exec(readFileSync(join(directory, "market/version.py"), "utf8"))?.[1] ?? "";
}

const versionSource = (number: number) => `VERSION = "v${number}"\n`;

const config = {
  app: "market",
  server: { kind: "gunicorn", app: "market.wsgi:application", instances: 2, workers: 1, threads: 16 },
  health: { path: "/version", host: "localhost" },
  static: [{ url: "/static/", collect: "python manage.py collectstatic --noinput --verbosity 0", from: "staticfiles" }],
  watch: "0s",
  // They are collected: the app itself does not read them.
  exclude: ["/assets/"],
};

const manageSource = `#!/usr/bin/env python3
import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "market.settings")
    execute_from_command_line(sys.argv)
`;

function writeApp(writer: ProjectWriter, scale: ProjectScale, app: string, index: number): void {
  const { random } = writer;
  const names = Array.from({ length: scale.modules }, (_, number) => `part_${digits(number)}`);
  writer.text(`${app}/__init__.py`, "");
  writer.text(`${app}/urls.py`, appUrlsSource(app));
  writer.text(`${app}/views.py`, appViewsSource(app, names));
  for (const [number, name] of names.entries()) {
    const imports = number === 0 ? [] : [`${app}.${names[Math.floor(random() * number)]}`];
    writer.text(`${app}/${name}.py`, moduleSource({ name, number: index * 100 + number, imports, random }));
  }
  for (let number = 0; number < scale.pages; number++) {
    writer.text(`${app}/templates/${app}/page_${digits(number)}.html`, pageSource(app, number, random));
  }
  for (let number = 0; number < scale.images; number++) {
    writer.bytes(`assets/${app}/image_${digits(number)}.jpg`, 2000 + Math.floor(random() * 20_000));
  }
  for (let number = 0; number < scale.scripts; number++) {
    const [folder, ending] = number % 2 === 0 ? ["js", "js"] : ["css", "css"];
    writer.text(`assets/${app}/${folder}/part_${digits(number)}.${ending}`, assetSource(ending, number, random));
  }
}

function pageSource(app: string, number: number, random: () => number): string {
  const rows = Array.from(
    { length: 10 + Math.floor(random() * 40) },
    (_, row) => `  <li>${app} ${number}.${row}: {{ number }}</li>`,
  );
  return `<!doctype html>\n<title>${app}</title>\n<ul>\n${rows.join("\n")}\n</ul>\n`;
}

function assetSource(ending: string, number: number, random: () => number): string {
  const lines = Array.from({ length: 60 + Math.floor(random() * 200) }, (_, line) => {
    const value = Math.floor(random() * 1e6);
    return ending === "css"
      ? `.part-${number}-${line} { margin: ${value % 40}px; order: ${value}; }`
      : `export const value${line} = ${value};`;
  });
  return `${lines.join("\n")}\n`;
}

const digits = (number: number) => String(number).padStart(3, "0");

class ProjectWriter {
  readonly random: () => number;
  files = 0;
  size = 0;
  readonly #directory: string;
  readonly #seed: number;
  readonly #made = new Set<string>();

  constructor(directory: string, seed: number) {
    this.#directory = directory;
    this.#seed = seed;
    this.random = seededRandom(seed);
  }

  text(path: string, text: string, mode = 0o644): void {
    this.#write(path, Buffer.from(text), mode);
  }

  /** Bytes that do not compress, as those of pictures. */
  bytes(path: string, length: number): void {
    const key = Buffer.alloc(16);
    key.writeUInt32LE(this.#seed, 0);
    key.writeUInt32LE(this.files, 4);
    const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
    this.#write(path, cipher.update(Buffer.alloc(length)), 0o644);
  }

  #write(path: string, content: Buffer, mode: number): void {
    const file = join(this.#directory, path);
    const folder = dirname(file);
    if (!this.#made.has(folder)) mkdirSync(folder, { recursive: true });
    this.#made.add(folder);
    writeFileSync(file, content, { mode });
    this.files++;
    this.size += content.length;
  }
}
