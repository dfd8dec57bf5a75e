import { expect, test } from "vitest";
import { appSettingsSchema } from "../../agent/settings.ts";
import { configSchema } from "../../shared/config.ts";
import { siteSchema } from "../../shared/config-site.ts";
import { parseYamlFile, readYaml } from "../../shared/yaml-file.ts";

const head = "app: shop\nserver: { kind: gunicorn, app: shop.wsgi:application }\n";
const siteKeys = Object.keys(siteSchema.shape).join(", ");

function faults(text: string): string[] {
  const result = readYaml(text, configSchema);
  return result.kind === "good" ? [] : result.faults.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test.each([
  [
    "a union's word misspelt",
    "site: non",
    ['3:1 site: "non" is not allowed; allowed here: none, or object. Did you mean none?'],
  ],
  ["neither of a union's types", "site: 5", ["3:1 site: allowed here: none, or object"]],
  [
    "a misspelt key in the mapping of a union",
    "site:\n  listn: [80]",
    [`4:3 site.listn: unknown key; allowed here: ${siteKeys}. Did you mean listen?`],
  ],
  [
    "a misspelt word in the mapping of a union",
    "site:\n  balance: ip_hsh",
    [
      '4:3 site.balance: "ip_hsh" is not allowed; allowed here: one of round_robin, ip_hash, least_conn, url_hash. Did you mean ip_hash?',
    ],
  ],
  [
    "a word that is like none",
    "site:\n  balance: fastest_server",
    [
      '4:3 site.balance: "fastest_server" is not allowed; allowed here: one of round_robin, ip_hash, least_conn, url_hash',
    ],
  ],
  [
    "entries of listen, of either type",
    'site:\n  listen:\n    - 80\n    - 70000\n    - "443 sl"\n    - true',
    [
      "6:7 site.listen.1: must be at most 65535",
      '7:7 site.listen.2: a port, address:port, or either with ssl, such as "443 ssl"',
      "8:7 site.listen.3: expected number or string, received boolean",
    ],
  ],
  [
    "a word in a command that is a list",
    "release:\n  command: [python, 3]",
    ['4:21 release.command.1: expected string, received number; write "3" in quotes'],
  ],
  [
    "a duration without a unit",
    "watch: 30\nhealth: { timeout: [] }",
    [
      "3:1 watch: a duration has a unit: write 30s",
      "4:11 health.timeout: a duration has a unit, such as 30s, 10m or 24h",
    ],
  ],
  [
    "a command of no type",
    "release: { command: 5 }",
    ['3:12 release.command: expected string or array, received number; write "5" in quotes'],
  ],
  ["a command that is missing", "release: { timeout: 5m }", ["3:1 release.command: is required and missing"]],
  [
    "a nested list in a union",
    "site:\n  peers:\n    - { server: web2:80, wieght: 3 }",
    ["5:26 site.peers.0.wieght: unknown key; allowed here: server, weight, backup. Did you mean weight?"],
  ],
  [
    "keys that other tools have",
    "site:\n  tls: { certificate: shop }\nprocesses:\n  clean: { command: x, schedule: daily }",
    [
      expect.stringMatching(
        /^4:3 site\.tls: unknown key; .*\. TLS is on for an address of `site\.listen` such as `443 ssl`/,
      ),
      expect.stringMatching(/^6:24 processes\.clean\.schedule: unknown key; .*\. Nothing here runs by a timetable/),
    ],
  ],
  [
    "names and keys below names of one's own",
    "processes:\n  Worker: { command: x }\n  beat: { comand: x, stop_signal: trm }",
    [
      '4:3 processes.Worker: "Worker" is no name for it; allowed: a name of lower-case letters, digits and -, other than web',
      "5:3 processes.beat.command: is required and missing",
      "5:11 processes.beat.comand: unknown key; allowed here: command, instances, overlap, hosts, stop_signal, stop_timeout, stay_up. Did you mean command?",
      '5:22 processes.beat.stop_signal: "trm" is not allowed; allowed here: one of TERM, INT, QUIT, HUP, USR1, USR2. Did you mean TERM?',
    ],
  ],
  [
    "words that are not quoted",
    "env: { 1A: x, DEBUG: yes, SIZE: 20 }",
    [
      '3:8 env.1A: "1A" is no name for it; allowed: letters, digits and _, and no digit first',
      "3:27 env.SIZE: a text; put numbers and yes/no in quotes",
    ],
  ],
  [
    "a section without anything",
    "drain:\n",
    ["3:1 drain: is empty, and must be keys with values, each on a line below it: timeout"],
  ],
  [
    "expires",
    "static: [{ url: /s/, from: s, expires: maximum }]",
    ["3:31 static.0.expires: a duration such as 24h, or max, or off"],
  ],
  [
    "a header's name",
    'site: { add_header: { "X Y": a } }',
    [`3:23 site.add_header.X Y: "X Y" is no name for it; allowed: a header's name`],
  ],
])("%s", (_, text, expected) => {
  expect(faults(head + text)).toEqual(expected);
});

test("a kind that is missing or misspelt is told with all there are", () => {
  const kinds = "gunicorn, uwsgi, tornado, aiohttp, uvicorn, hypercorn, daphne, granian, waitress, command";
  expect(faults("app: shop\nserver: { app: a:b }")[0]).toContain(
    `server.kind: is required and missing; one of ${kinds}`,
  );
  expect(faults("app: shop\nserver: { kind: Gunicron, app: a:b }")).toEqual([
    `2:11 server.kind: "Gunicron" is not allowed; allowed here: one of ${kinds}. Did you mean gunicorn?`,
  ]);
});

test("all faults of a file together: keys, values, choices and pairs", () => {
  expect(
    faults(`app: Shop
server:
  kind: tornado
  instances: many
  threads: 2
  worker: 1
  command: python app.py --port={port}
site:
  banana: 1
  balance: ip_hash
  listen: [80]
  peers: [{ server: "web2:80", backup: true }]
  preview: { listen: 80 }
static:
  - { url: /a/, from: x }
  - { url: /a/, from: y }
`).map((line) => line.split(" ", 2).join(" ")),
  ).toEqual([
    "1:1 app:",
    "4:3 server.instances:",
    "5:3 server.threads:",
    "6:3 server.worker:",
    "7:3 server.command:",
    "9:3 site.banana:",
    "12:32 site.peers.0.backup:",
    "13:14 site.preview.listen:",
    "16:7 static.1.url:",
  ]);
});

test("a pair is not judged by what is wrong itself", () => {
  expect(faults("app: shop\nserver: { kind: gunicorn, app: 5 }")).toEqual([
    '2:27 server.app: expected string, received number; write "5" in quotes',
  ]);
  expect(faults("app: shop\nserver: { kind: tornado, bind: prt, command: 'x {port}' }")).toEqual([
    '2:26 server.bind: "prt" is not allowed; allowed here: one of socket, port. Did you mean port?',
  ]);
  expect(faults(`${head}site: { preview: { listen: x } }`)).toHaveLength(1);
  expect(faults(`${head}static: [{ url: s, from: a }, { url: t, from: 5 }]`)).toHaveLength(3);
  expect(faults(`${head}processes: { a: { command: x, overlap: 5, instances: 2 } }`)).toHaveLength(1);
  expect(faults("app: 5\nserver: { knd: gunicorn, app: 'a:b' }").map((line) => line.split(" ", 2)[1])).toEqual([
    "app:",
    "server.kind:",
    "server.knd:",
  ]);
});

test.each([
  ["- a", "1:1 the file must hold keys and their values: expected object, received array"],
  ["text", "1:1 the file must hold keys and their values: expected object, received string"],
])("a file that is no mapping: %s", (text, expected) => {
  expect(faults(text)).toEqual([expected]);
});

test.each([["app: [shop"], ["a: *nowhere"], ["a: 1\na: 2"], ["---\na: 1\n---\nb: 2"], ["a: 1\n\tb: 2"]])(
  "what is not YAML: %j",
  (text) => {
    expect(readYaml(text, configSchema).kind).toBe("not yaml");
  },
);

test.each([
  ["a: 1\nb: 2\na: 3", ["3:1 a stands here a second time; put what belongs to it in one place"]],
  [
    "a:\n\tb: 1\n\tc: 2",
    ["2:1 a line begins with a tab; indent it with spaces", "3:1 a line begins with a tab; indent it with spaces"],
  ],
  ["env:\n  GREETING: hello: world", ['2:13 a value with a colon and a space in it must be in quotes: "hello: world"']],
  [
    "app: shop\nserver: kind: gunicorn",
    ["2:9 two keys stand on one line: write kind on the next line, indented by two spaces more"],
  ],
  ["", ["1:1 the file is empty; `cutover init` writes one"]],
  ["# nothing yet\n", ["1:1 the file is empty; `cutover init` writes one"]],
  // As a file of UTF-16 is when it was read as UTF-8.
  ...["\ufeffapp: shop\n", "app: shop\n"].map((text): [string, string[]] => [
    Buffer.from(text, "utf16le").toString("utf8"),
    ["1:1 the file is UTF-16, most often of PowerShell's `>`; save it as UTF-8"],
  ]),
])("what is not YAML is told without its terms: %j", (text, expected) => {
  expect(faults(text)).toEqual(expected);
});

test.each([
  ["static: { url: /s/, from: s }", "3:1 static: has keys of its own, and must be a list: begin each entry with `- `"],
  [
    "site: { server_name: shop.example.com }",
    "3:9 site.server_name: is a text, and must be a list: [shop.example.com]",
  ],
  [
    "env: [A=1]",
    "3:1 env: is a list, and must be names with values, each on a line below it: `NAME: value`, without a dash",
  ],
  [
    "health: /up",
    "3:1 health: is a text, and must be keys with values, each on a line below it: path, host, expect, timeout",
  ],
])("keys, a list or a text in the place of another: %s", (text, expected) => {
  expect(faults(head + text)).toEqual([expected]);
});

test("the error carries file, line and column of each, and says how many there are", () => {
  const errors = { notYaml: "config_not_yaml", invalid: "config_invalid" } as const;
  expect(() => parseYamlFile("servr: {}\n", "cutover.yml", configSchema, errors)).toThrow(
    expect.objectContaining({
      code: "config_invalid",
      message: `cutover.yml:1:1: app: is required and missing
cutover.yml:1:1: server: is required and missing
cutover.yml:1:1: servr: unknown key; allowed here: ${Object.keys(configSchema.shape).join(", ")}. Did you mean server?`,
      fix: "Correct these 3 places.",
    }),
  );
  expect(() => parseYamlFile("a: [", "cutover.yml", configSchema, errors)).toThrow(
    expect.objectContaining({ code: "config_not_yaml" }),
  );
});

test("a good file tells where its keys stand", () => {
  const result = readYaml(`${head}static:\n  - { url: /s/, from: s }\n`, configSchema);
  expect(result.kind === "good" && result.at(["static", 0, "from"])).toEqual({ line: 4, column: 17 });
  expect(result.kind === "good" && result.at(["site", "listen"])).toEqual({ line: 1, column: 1 });
});

test("a message of the definition's own is told rather than the types of a union", () => {
  const result = readYaml("ports: 9000\n", appSettingsSchema);
  expect(result.kind === "invalid" && result.faults).toEqual([
    { line: 1, column: 1, message: 'ports: a range in quotes, such as "9000-9099"' },
  ]);
});

test("a number where text is wanted is shown in quotes, as it stands in the file", () => {
  expect(faults("app: shop\nserver: { kind: gunicorn, app: 'a:b' }\npython: { version: 3.10 }")).toEqual([
    '3:11 python.version: expected string, received number; write "3.10" in quotes',
  ]);
});

test("a pattern that YAML takes for an alias is reported at its place", () => {
  expect(faults("app: shop\nserver: { kind: gunicorn, app: 'a:b' }\nexclude: [docs, *.pyc]")).toEqual([
    '3:17 *.pyc is an alias in YAML, and nothing has this name; write "*.pyc" in quotes',
  ]);
});

test("a merge conflict is one fault, at its first mark", () => {
  const text = `${head}<<<<<<< HEAD\nenv: { A: "1" }\n=======\nenv: { A: "2" }\n>>>>>>> feature\n`;
  expect(faults(text)).toEqual(["3:1 a merge conflict is left here; resolve it, commit and push"]);
});
