/** What an nginx can do, as `nginx -V` says: directives depend on the version and the modules. */
export interface NginxFeatures {
  /** Major, minor, patch. OpenResty's version begins with that of its nginx. */
  version: [number, number, number];
  /** The modules that it was built with, such as `http_v2_module`. */
  modules: Set<string>;
}

/** Parses the output of `nginx -V`. */
export function parseFeatures(text: string): NginxFeatures {
  const [, major = 0, minor = 0, patch = 0] = /nginx\/(\d+)\.(\d+)\.(\d+)/.exec(text) ?? versionOfAnother(text);
  const modules = [...text.matchAll(/--with-(\w+_module)(?=\s|$)/g)].map(([, name = ""]) => name);
  return { version: [Number(major), Number(minor), Number(patch)], modules: new Set(modules) };
}

/** Whether nginx has this version or a newer one. */
export function atLeast({ version }: NginxFeatures, ...wanted: [number, number, number]): boolean {
  const index = version.findIndex((part, place) => part !== wanted[place]);
  return index === -1 || (version[index] ?? 0) > (wanted[index] ?? 0);
}

/** OpenResty and others print their own name. */
function versionOfAnother(text: string): RegExpExecArray | [] {
  return /version: [\w-]+\/(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
}
