import type { Chance } from "./chance.ts";
import { changeBytes } from "./change-bytes.ts";

const values = [
  null,
  true,
  -1,
  0,
  0.5,
  420,
  493,
  2541,
  2 ** 53,
  1e300,
  "",
  ".",
  "..",
  "app/..",
  "app/a.py",
  "app/a.py/x",
  "app//x",
  "/etc/x",
  "venv/x",
  "app\\x",
  "app/\0",
  "app/\ud800",
  `app/${"x".repeat(256)}`,
  `app${"/d".repeat(70)}`,
  "static/static/x",
  "__proto__",
  [],
  {},
  [[[[]]]],
  "a".repeat(64),
];

/** One change of a manifest: of a value somewhere in it, of its keys, or of its text. */
export function changeManifest(bytes: Buffer, chance: Chance): Buffer {
  const value = chance.below(4) === 0 ? undefined : parsed(bytes);
  if (value === undefined) return changeBytes(bytes, chance);
  const objects = objectsIn(value);
  if (objects.length === 0) return changeBytes(bytes, chance);
  const object = chance.one(objects);
  const keys = Object.keys(object);
  const key = keys.length === 0 ? "key" : chance.one(keys);
  switch (chance.below(5)) {
    case 0:
    case 1:
      object[key] = chance.one(values);
      break;
    case 2:
      delete object[key];
      break;
    case 3:
      object[chance.one(["more", "toString", "0", "path", "files", "mode"])] = chance.one(values);
      break;
    default: {
      const other = chance.one(objects);
      object[key] = structuredClone(other[chance.one([...Object.keys(other), "x"])] ?? null);
    }
  }
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function objectsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== "object" || value === null) return [];
  return [value as Record<string, unknown>, ...Object.values(value).flatMap(objectsIn)];
}
