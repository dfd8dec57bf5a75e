import { hostileValues } from "./values.ts";

/** What a compromised agent sends. `refused`: the code of the answer; `ended`: the connection is closed. */
export interface HostileCase {
  name: string;
  method: string;
  params: unknown;
  refused: string;
}

export const release = "20261121T103000Z-3f2c1ab";
export const missing = "20261121T103000Z-0000000";

const config = { app: "shop", server: { kind: "gunicorn", app: "shop:application" } };
const spec = { app: "shop", run: release, release, config };
const slots = new Array<number | null>(60).fill(null);
const part = { config, slots };

/** No name of an app: each would be a path, a word of a command or a directive. */
const appNames = [
  "",
  ".",
  "..",
  "../other",
  "a/b",
  "/etc",
  "shop\n",
  "shop\0",
  "Shop",
  "-x",
  "a".repeat(33),
  "%i",
  "sh$p",
  "a;b",
];
/** No release or run. */
const ids = [
  "",
  "..",
  "../../../../etc",
  `${release}/../..`,
  `${release}\n`,
  `${release}\0`,
  "*",
  `.${release}.partial`,
];

function each(name: string, values: readonly unknown[], of: (value: unknown) => Omit<HostileCase, "name" | "refused">) {
  return values.map((value, index) => ({
    ...of(value),
    name: `${name} ${index + 1}, ${JSON.stringify(value)?.slice(0, 60)}`,
    refused: "helper_refused",
  }));
}

const withConfig = (parts: object) => ({ ...spec, config: { ...config, ...parts } });

export const refusedRequests: HostileCase[] = [
  ...each("an app that is no name:", appNames, (app) => ({ method: "prepareApp", params: { app } })),
  ...each("lines to rotate of an app that is no name:", appNames, (app) => ({
    method: "rotateRequests",
    params: { app },
  })),
  ...each("an app to remove that is no name:", appNames, (app) => ({ method: "removeApp", params: { app } })),
  ...each("a release to seal that is no release:", ids, (id) => ({
    method: "sealRelease",
    params: { app: "shop", release: id },
  })),
  ...each("a release to remove that is no release:", ids, (id) => ({
    method: "removeRelease",
    params: { app: "shop", release: id },
  })),
  ...each("a release to build that is no release:", ids, (id) => ({
    method: "buildEnvironment",
    params: { app: "shop", release: id },
  })),
  ...each("a release to compile that is no release:", ids, (id) => ({
    method: "compileBytecode",
    params: { app: "shop", release: id, paths: ["app/a.py"] },
  })),
  ...each(
    "a source to compile that is none:",
    ["../a.py", "/etc/a.py", "app/../a.py", "app/a\0.py", "app/a"],
    (path) => ({
      method: "compileBytecode",
      params: { app: "shop", release, paths: [path] },
    }),
  ),
  ...each("a Python to compile for that is no version:", ["3", "3.11/../x", "../python"], (version) => ({
    method: "compileBytecode",
    params: { app: "shop", release, paths: [], version },
  })),
  ...each("a run to remove that is no run:", ids, (run) => ({
    method: "removePrograms",
    params: { app: "shop", run },
  })),
  ...each("a run to give the processor to that is no run:", ids, (run) => ({
    method: "fullShare",
    params: { app: "shop", run },
  })),
  ...each("an app to give the processor to that is no name:", appNames, (app) => ({
    method: "fullShare",
    params: { app, run: release },
  })),
  {
    name: "a process to give the processor to",
    method: "fullShare",
    params: { app: "shop", run: release, pid: 1 },
    refused: "helper_refused",
  },
  ...each("a run to start that is no run:", ids, (run) => ({ method: "startPrograms", params: { ...spec, run } })),
  ...each("a process that is no process:", ["", "web", "../x", "A", "a b", "a\n", "a".repeat(40)], (process) => ({
    method: "removeProcess",
    params: { app: "shop", run: release, process },
  })),
  ...each(
    "kept releases that are none:",
    [["../x"], [""], [[release]], "all", null, new Array(1001).fill(release)],
    (kept) => ({
      method: "collectEnvironments",
      params: { app: "shop", kept },
    }),
  ),
  ...each(
    "names of a certificate that are none:",
    [
      [],
      ["*.example.com"],
      ["_"],
      ["a b"],
      ["a\nb"],
      ["$host"],
      ["/etc/x"],
      [7],
      "other.example.com",
      new Array(101).fill("a"),
    ],
    (names) => ({ method: "certificateRequest", params: { app: "other", names } }),
  ),
  ...each("a chain that is none:", [7, ["x"], null, "a".repeat(65_537)], (chain) => ({
    method: "installCertificate",
    params: { app: "other", chain },
  })),
  {
    name: "a certificate for a domain of another app",
    method: "certificateRequest",
    params: { app: "other", names: ["other.example.com", "shop.example.com"] },
    refused: "domain_not_allowed",
  },
  {
    name: "a certificate for an app whose owner has not said so",
    method: "certificateRequest",
    params: { app: "shop", names: ["shop.example.com"] },
    refused: "host_settings_invalid",
  },
  {
    name: "a chain for a key that there is not",
    method: "installCertificate",
    params: { app: "other", chain: "ssl_engine x;" },
    refused: "certificate_failed",
  },
  ...each("kept runs that are none:", [["../x"], [7], {}], (kept) => ({
    method: "collectLogs",
    params: { app: "shop", kept },
  })),
  ...each("a wrong type for the app:", [7, null, true, ["shop"], { app: "shop" }, {}], (app) => ({
    method: "runs",
    params: { app },
  })),
  ...each(
    "words of a command that are none:",
    [[], "id", [7], ["a\0b"], ["a".repeat(8193)], new Array(1025).fill("a")],
    (argv) => ({
      method: "runCommand",
      params: { spec, argv, timeoutMs: 1000 },
    }),
  ),
  ...each("a time limit that is none:", [0, -1, 1.5, "1s", 1e12, null], (timeoutMs) => ({
    method: "runCommand",
    params: { spec, argv: ["id"], timeoutMs },
  })),
  ...each(
    "slots that are none:",
    [[], slots.slice(1), [...slots, 80], [70_000, ...slots.slice(1)], ["80", ...slots.slice(1)]],
    (all) => ({
      method: "writeSite",
      params: { app: "shop", site: { main: { config, slots: all }, preview: null } },
    }),
  ),
  ...each(
    "a method that is not on the list:",
    ["exec", "__proto__", "constructor", "toString", "", 7, null],
    (method) => ({
      method: method as string,
      params: { app: "shop" },
    }),
  ),
  ...each(
    "a header's value with what nginx would read:",
    hostileValues.filter((text) => /[$\n\r\0]/.test(text)),
    (text) => ({
      method: "writeSite",
      params: {
        app: "shop",
        site: { main: { config: { ...config, site: { add_header: { "X-A": text } } }, slots }, preview: null },
      },
    }),
  ),
  ...each(
    "a static folder's URL with a directive:",
    // These two are URLs like others: the top, and one file, which comes from the release whatever its name is.
    hostileValues.filter((text) => text !== "/" && text !== "/etc/passwd"),
    (text) => ({
      method: "checkSite",
      params: { app: "shop", config: { ...config, static: [{ url: text, from: "static" }] } },
    }),
  ),
  ...[
    { name: "a field too many", method: "prepareApp", params: { app: "shop", path: "/etc" } },
    { name: "a user in a run", method: "startPrograms", params: { ...spec, user: "root" } },
    { name: "a path in a run", method: "startPrograms", params: { ...spec, directory: "/etc" } },
    { name: "no parameters", method: "prepareApp", params: undefined },
    { name: "no configuration", method: "startPrograms", params: { app: "shop", run: release, release } },
    {
      name: "a configuration with a key that it does not have",
      method: "startPrograms",
      params: withConfig({ user: "root" }),
    },
    { name: "another app's configuration in a run", method: "startPrograms", params: withConfig({ app: "other" }) },
    {
      name: "another app's configuration in a site",
      method: "writeSite",
      params: { app: "other", site: { main: part, preview: null } },
    },
    {
      name: "another app's configuration in a preview",
      method: "writeSite",
      params: { app: "other", site: { main: null, preview: part } },
    },
    { name: "another app's configuration in a check", method: "checkSite", params: { app: "other", config } },
    { name: "a run of another release", method: "startPrograms", params: { ...spec, run: missing } },
    {
      name: "an environment's name with a line",
      method: "startPrograms",
      params: withConfig({ env: { "A\nB": "x" } }),
    },
    { name: "an environment's value with NUL", method: "startPrograms", params: withConfig({ env: { A: "x\0y" } }) },
    {
      name: "a shared folder outside",
      method: "checkSite",
      params: { app: "shop", config: { ...config, shared: [{ url: "/m/", from: "../../x" }] } },
    },
    {
      name: "an error page outside",
      method: "checkSite",
      params: { app: "shop", config: { ...config, site: { error_page: "../../../etc/shadow" } } },
    },
    {
      name: "requirements outside",
      method: "startPrograms",
      params: withConfig({ python: { requirements: "../../../../etc/shadow" } }),
    },
    {
      name: "a port of another program in the site",
      method: "writeSite",
      params: { app: "shop", site: { main: { config, slots: [22, ...slots.slice(1)] }, preview: null } },
    },
    {
      name: "a port of another program in the preview",
      method: "writeSite",
      params: { app: "shop", site: { main: null, preview: { config, slots: [6379, ...slots.slice(1)] } } },
    },
    {
      name: "ten thousand instances",
      method: "startPrograms",
      params: withConfig({ server: { ...config.server, instances: 10_000 } }),
    },
    { name: "a start of a release that is not sealed", method: "startPrograms", params: spec },
    {
      name: "a process of a release that is not sealed",
      method: "startProcess",
      params: { spec: withConfig({ processes: { worker: { command: "true" } } }), process: "worker" },
    },
    {
      name: "a command of a release that is not sealed",
      method: "runCommand",
      params: { spec, argv: ["id"], timeoutMs: 1000 },
    },
  ].map((one) => ({ ...one, refused: "helper_refused" })),
  ...[
    {
      name: "an app that the host does not have",
      method: "prepareApp",
      params: { app: "nobodys" },
      refused: "app_not_found",
    },
    {
      name: "an environment of an app that the host does not have",
      method: "commandEnvironment",
      params: { ...withConfig({ app: "nobodys" }), app: "nobodys" },
      refused: "app_not_found",
    },
    {
      name: "a release that is not there, to seal",
      method: "sealRelease",
      params: { app: "shop", release: missing },
      refused: "release_not_found",
    },
    {
      name: "a release that is not there, to build",
      method: "buildEnvironment",
      params: { app: "shop", release: missing },
      refused: "release_not_found",
    },
    {
      name: "a start of a release that is not there",
      method: "startPrograms",
      params: { ...spec, run: missing, release: missing },
      refused: "release_not_found",
    },
    {
      name: "another app's release, to seal",
      method: "sealRelease",
      params: { app: "other", release },
      refused: "release_not_found",
    },
    {
      name: "an address that the host does not allow",
      method: "checkSite",
      params: { app: "shop", config: { ...config, site: { listen: [8443] } } },
      refused: "listen_not_allowed",
    },
    {
      name: "a domain that the host does not allow",
      method: "checkSite",
      params: { app: "shop", config: { ...config, site: { server_name: ["bank.example.com"] } } },
      refused: "domain_not_allowed",
    },
    {
      name: "a peer that the host does not allow",
      method: "checkSite",
      params: { app: "shop", config: { ...config, site: { peers: [{ server: "169.254.169.254:80" }] } } },
      refused: "peer_not_allowed",
    },
    {
      name: "who listens for an app that the host does not have",
      method: "listening",
      params: { ...withConfig({ app: "nobodys" }), app: "nobodys" },
      refused: "app_not_found",
    },
    {
      name: "where else another app's processes listen",
      method: "strayListeners",
      params: withConfig({ app: "blog" }),
      refused: "helper_refused",
    },
  ],
];

/** Bytes that are no request; the helper answers with a refusal, or ends. */
export const brokenLines: { name: string; bytes: string | Buffer; ends: boolean }[] = [
  { name: "no JSON", bytes: "prepareApp shop\n", ends: false },
  { name: "half a request", bytes: '{"id":1,"method":"prepareApp","par\n', ends: false },
  { name: "a list", bytes: '[{"id":1,"method":"oldWorkers","params":{}}]\n', ends: false },
  { name: "a number", bytes: "7\n", ends: false },
  { name: "null", bytes: "null\n", ends: false },
  { name: "an empty line", bytes: "\n", ends: false },
  { name: "NUL bytes", bytes: Buffer.from("\0\0\0\n"), ends: false },
  { name: "bytes that are no text", bytes: Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x0a]), ends: false },
  { name: "an id below zero", bytes: '{"id":-1,"method":"runs","params":{"app":"shop"}}\n', ends: false },
  { name: "an id that is no number", bytes: '{"id":"1","method":"runs","params":{"app":"shop"}}\n', ends: false },
  { name: "a huge id", bytes: '{"id":1e308,"method":"runs","params":{"app":"shop"}}\n', ends: false },
  { name: "a cancellation with more", bytes: '{"cancel":1,"id":1}\n', ends: false },
  { name: "a cancellation of nothing", bytes: '{"cancel":999999}\n{"x":1}\n', ends: false },
  { name: "a prototype", bytes: '{"__proto__":{"id":1},"method":"runs","params":{"app":"shop"}}\n', ends: false },
  { name: "a request nested a hundred thousand deep", bytes: `${"[".repeat(100_000)}\n`, ends: false },
  { name: "a line of more than 4 MiB", bytes: `{"id":1,"method":"${"a".repeat(4 * 1024 * 1024)}"}\n`, ends: true },
  { name: "a line without end", bytes: "a".repeat(5 * 1024 * 1024), ends: true },
];
