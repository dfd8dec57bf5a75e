/** What an nginx can do, by what it says of itself: directives come and go with versions and modules. */
export interface NginxFeatures {
  /** Major, minor, patch; OpenResty's begin with those of its nginx. */
  version: [number, number, number];
  /** What it was built with, such as `http_v2_module`. */
  modules: Set<string>;
}

/** Reads what `nginx -V` prints. */
export function parseFeatures(text: string): NginxFeatures {
  const [, major = 0, minor = 0, patch = 0] = /nginx\/(\d+)\.(\d+)\.(\d+)/.exec(text) ?? versionOfAnother(text);
  const modules = [...text.matchAll(/--with-(\w+_module)(?=\s|$)/g)].map(([, name = ""]) => name);
  return { version: [Number(major), Number(minor), Number(patch)], modules: new Set(modules) };
}

export function atLeast({ version }: NginxFeatures, ...wanted: [number, number, number]): boolean {
  const index = version.findIndex((part, place) => part !== wanted[place]);
  return index === -1 || (version[index] ?? 0) > (wanted[index] ?? 0);
}

/** OpenResty and others name themselves. */
function versionOfAnother(text: string): RegExpExecArray | [] {
  return /version: [\w-]+\/(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
}
