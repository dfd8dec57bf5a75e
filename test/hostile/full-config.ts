/**
 * A cutover.yml with every key whose value is a text, each with a value that stands nowhere else in it: so what becomes of
 * one can be told from what becomes of another. Keys that exclude each other are in different ones.
 */
export const fullConfigs: Record<string, Record<string, unknown>> = {
  "an app by its module": {
    ...common("shopa"),
    server: {
      ...{ kind: "gunicorn", app: "shopmodule.wsgi:application", bind: "socket", protocol: "http" },
      ...{ workers: "auto", config_file: "gunicornfile.py" },
    },
  },
  "an app by its command": {
    ...common("shopb"),
    server: { kind: "command", command: ["servewords", "--bind={socket}"], bind: "socket", protocol: "uwsgi" },
  },
  "an app that is told its interface": {
    ...common("shopc"),
    server: { kind: "granian", app: "shopthird.main:application", bind: "socket", interface: "rsgi" },
    judge: "off",
  },
};

function common(app: string): Record<string, unknown> {
  return {
    app,
    health: { path: "/healthpath", host: "healthhost.example", expect: "201-298", timeout: "71s" },
    python: { version: "3.19", wheels: "none", requirements: "reqfile.txt", extra: ["extrapackage"] },
    static: [
      { url: "/staticurl/", collect: ["collectwords"], from: "staticfrom", expires: "72h", gzip_static: false },
      { url: "/spaurl/", from: "spafrom", fallback: "fallbackpage.html", except: ["/spaurl/api/"] },
    ],
    shared: [{ path: "sharedpath/", url: "/sharedurl/", from: "sharedfrom", expires: "73h" }],
    site: {
      listen: ["127.0.0.1:4711", "4712"],
      server_name: ["main.example"],
      client_max_body_size: "74m",
      client_body_timeout: "75s",
      proxy_connect_timeout: "76s",
      proxy_read_timeout: "77s",
      proxy_send_timeout: "78s",
      add_header: { "X-Marked": "headervalue" },
      redirects: { "redirectname.example": "redirecttarget.example" },
      hsts: { max_age: "86d" },
      limit_req: { rate: "87r/s" },
      access_log: "json",
      error_page: "errorpage.html",
      balance: "least_conn",
      peers: [{ server: "127.0.0.9:4713", weight: 1 }],
      preview: { listen: "127.0.0.1:4714", cookie: "cookiename=cookievalue", header: "X-Headername: headermark" },
    },
    release: { command: ["releasewords"], timeout: "79m" },
    processes: {
      procname: {
        ...{ command: ["processwords"], hosts: "first", stop_signal: "QUIT" },
        ...{ stop_timeout: "81s", stay_up: "82s" },
      },
    },
    rollout: { parallel: "all", pause: "88s" },
    env: { ENVNAME: "envvalue" },
    drain: { timeout: "83s" },
    keep_warm: "84s",
    watch: "85s",
    judge: { errors: "2.5%", latency: "3.5x", confidence: "98.5%" },
    exclude: ["excludedname"],
  };
}

/** Where a text stands: keys and list places, and for the name of a key `key: true`. */
export interface Place {
  path: (string | number)[];
  key: boolean;
  /** The text that stands there. */
  text: string;
}

const named = ["processes", "env", "add_header", "redirects"];

/** Every text in a configuration, and every name of the reader's own. */
export function placesIn(value: unknown, path: (string | number)[] = []): Place[] {
  if (typeof value === "string") return [{ path, key: false, text: value }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const here = [...path, Array.isArray(value) ? Number(name) : name];
    const own = named.includes(String(path.at(-1))) ? [{ path: here, key: true, text: name }] : [];
    return [...own, ...placesIn(inner, here)];
  });
}

/** The configuration with another text at a place. */
export function withText(config: unknown, { path, key }: Place, text: string): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return text;
  if (Array.isArray(config)) {
    return config.map((item, index) => (index === first ? withText(item, { path: rest, key, text: "" }, text) : item));
  }
  return Object.fromEntries(
    Object.entries(config as object).map(([name, value]) => {
      if (name !== first) return [name, value];
      if (key && rest.length === 0) return [text, value];
      return [name, withText(value, { path: rest, key, text: "" }, text)];
    }),
  );
}
