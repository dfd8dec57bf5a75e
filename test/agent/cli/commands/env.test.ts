import { chmod, chown, mkdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestHost } from "../support.ts";

let host: TestHost;
let file: string;

beforeEach(async () => {
  host = await TestHost.make();
  await host.run(["app", "add", "shop"]);
  file = host.path("etc/apps/shop.env");
});
afterEach(() => host.close());

const secrets = async () => parseEnv(await readFile(file, "utf8"));

test("set writes a file that only its owner can read, keeps other lines, and says when the values take effect", async () => {
  await writeFile(file, "# database\nDB=old # note\nKEEP='1'\n", { mode: 0o644 });
  const { exit, out, err } = await host.run(["env", "set", "shop", "DB=p%$'x", "NEW=a b"]);
  expect([exit, err]).toEqual([0, ""]);
  expect(out).toBe(`Set DB, NEW in ${file}.
Running instances keep their values until \`cutover redeploy shop\` or the next deploy.
`);
  expect(await readFile(file, "utf8")).toBe("# database\nDB=\"p%$'x\" # note\nKEEP='1'\nNEW='a b'\n");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test("list shows names and no value, also as JSON", async () => {
  await host.run(["env", "set", "shop", "B=hunter2", "A=hunter3"]);
  expect((await host.run(["env", "list", "shop"])).out).toBe("A\nB\n");
  const { out } = await host.run(["env", "list", "shop", "--json"]);
  expect(JSON.parse(out)).toEqual({ app: "shop", file, names: ["A", "B"] });
  expect(out).not.toContain("hunter");
});

test("a value comes from standard input, with or without its last newline", async () => {
  await host.run(["env", "set", "shop", "A"], { input: "line one\nline two\n" });
  await host.run(["env", "set", "shop", "B", "--stdin", "--exact", "C=3"], { input: "key\n" });
  expect(await secrets()).toEqual({ A: "line one\nline two", B: "key\n", C: "3" });
});

test("a value is asked for at a terminal and not shown", async () => {
  const { exit, out, err } = await host.run(["env", "set", "shop", "A", "B"], { typed: "hunte\u007fer2\nsecond" });
  expect(exit).toBe(0);
  expect(err).toBe("Value of A (not shown): \nValue of B (not shown): \n");
  expect(out + err).not.toContain("hunt");
  expect(await secrets()).toEqual({ A: "hunter2", B: "second" });
});

test("A18: Ctrl-D sets no empty secret, and ends a value that was typed", async () => {
  expect(await host.run(["env", "set", "shop", "A"], { typed: "\u0004" })).toMatchObject({ exit: 1 });
  await expect(stat(file)).rejects.toThrow();
  expect(await host.run(["env", "set", "shop", "A"], { typed: "abc\u0004" })).toMatchObject({ exit: 0 });
  expect(await secrets()).toEqual({ A: "abc" });
});

test.each([
  ["arrows, Home and Delete", "a\u001b[D\u001b[Hb\u001b[3~c\u001bOP", "abc"],
  ["Ctrl-U, which takes all away", "wrong\u0015right", "right"],
  ["Ctrl-W, which takes a word away", "one wrong \u0017two", "one two"],
  ["control characters", "a\u0001b\u0007c", "abc"],
  ["a tab that was pasted", "a\tb", "a\tb"],
  ["a letter outside of ASCII", "ü€😀\u007f", "ü€"],
])("A18: %s: keys that edit do not become part of a secret", async (_, typed, value) => {
  expect(await host.run(["env", "set", "shop", "A"], { typed })).toMatchObject({ exit: 0 });
  expect(await secrets()).toEqual({ A: value });
});

test("A20: a name that no app can have becomes no part of a path", async () => {
  await writeFile(host.path("etc/other.yml"), "{}\n");
  const { exit, err } = await host.run(["env", "set", "../other", "A=1"]);
  expect([exit, err]).toEqual([1, expect.stringContaining("app_not_found")]);
  await expect(stat(host.path("etc/other.env"))).rejects.toThrow();
});

test("Ctrl-C at the question changes nothing", async () => {
  const { exit } = await host.run(["env", "set", "shop", "A"], { typed: "abc\u0003" });
  expect(exit).toBe(1);
  await expect(stat(file)).rejects.toThrow();
});

test("unset takes out what is there, and says what is not", async () => {
  await host.run(["env", "set", "shop", "A=1", "B=2"]);
  expect((await host.run(["env", "unset", "shop", "A"])).out).toContain("Removed A from");
  expect(await secrets()).toEqual({ B: "2" });
  const { exit, err } = await host.run(["env", "unset", "shop", "A"]);
  expect([exit, err.split("\n", 1)[0]]).toEqual([1, `error [environment_invalid] ${file} does not set A.`]);
});

test.each([
  [["PATH=hunter2"], "PATH is set by cutover for every process"],
  [["CUTOVER_RELEASE=hunter2"], "CUTOVER_RELEASE is cutover's own"],
  [["A=1", "hunter2-hunter2=x"], "Variable 2 is not a variable name"],
  [["A='\"`\nhunter2"], "The value of A holds all three kinds of quotes"],
  [["A=hunter2\r"], "The value of A holds a carriage return"],
])("what cannot be set is refused without its value: %j", async (words, why) => {
  for (const json of [[], ["--json"]]) {
    const { exit, out, err } = await host.run(["env", "set", "shop", ...words, ...json]);
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toContain("environment_invalid");
    expect(err).toContain(json.length === 0 ? why : why.replaceAll('"', '\\"'));
    expect(err).not.toContain("hunter2");
  }
  await expect(stat(file)).rejects.toThrow();
});

test.each([[["A=1", "A=2"]], [["A", "B"]], [["A=1", "--stdin"]]])("a wrong command line: %j", async (words) => {
  expect(await host.run(["env", "set", "shop", ...words], { input: "x" })).toMatchObject({ exit: 2, out: "" });
});

test("unset repeats no value that was given by mistake", async () => {
  const { exit, err } = await host.run(["env", "unset", "shop", "A=hunter2"]);
  expect([exit, err]).toEqual([2, "error: Give only the names of the variables.\n"]);
});

test("an app that the host does not have", async () => {
  const { exit, err } = await host.run(["env", "set", "blog", "A=hunter2"]);
  expect(exit).toBe(1);
  expect(err).toContain("error [app_not_found] This host has no app blog");
  expect(err).not.toContain("hunter2");
});

test("the file is the one that the app's settings name, relative to them, and a symlink stays one", async () => {
  await mkdir(host.path("vault"));
  await writeFile(host.path("vault/real.env"), "A=1\n");
  await symlink(host.path("vault/real.env"), host.path("etc/apps/named.env"));
  await writeFile(host.path("etc/apps/shop.yml"), "env_file: named.env\n");
  expect((await host.run(["env", "set", "shop", "B=2"])).exit).toBe(0);
  expect(await readFile(host.path("vault/real.env"), "utf8")).toBe("A=1\nB=2\n");
  expect((await stat(host.path("vault/real.env"))).mode & 0o777).toBe(0o600);
});

test("a file with an open quote is not changed", async () => {
  await writeFile(file, 'A="open\nB=hunter2\n');
  const { exit, err } = await host.run(["env", "set", "shop", 'C=x" y']);
  expect(exit).toBe(1);
  expect(err).toContain("open quote");
  expect(err).not.toContain("hunter2");
  expect(await readFile(file, "utf8")).toBe('A="open\nB=hunter2\n');
});

test("commands at the same time lose nothing of each other, and a temporary file of a killed one is no obstacle", async () => {
  await writeFile(`${file}.tmp`, "half");
  const old = new Date(Date.now() - 60_000);
  await utimes(`${file}.tmp`, old, old);
  const names = ["A", "B", "C", "D", "E", "F"];
  const ran = await Promise.all(names.map((name) => host.run(["env", "set", "shop", `${name}=1`])));
  expect(ran.map(({ exit }) => exit)).toEqual(names.map(() => 0));
  expect(Object.keys(await secrets()).toSorted()).toEqual(names);
  await expect(stat(`${file}.tmp`)).rejects.toThrow();
});

test.runIf(process.geteuid?.() === 0)("root leaves the file to the user of the embedded agent", async () => {
  await chown(host.path("etc/apps"), 65534, 65534);
  await chmod(host.path("etc/apps"), 0o755);
  await host.run(["env", "set", "shop", "A=1"]);
  expect(await stat(file)).toMatchObject({ uid: 65534, gid: 65534 });
});

test.each([
  ["a directory that is not there", "gone/shop.env", undefined, /cannot be changed: ENOENT/, /^Make its directory/],
  [
    "a directory in the place of its .tmp",
    "shop.env",
    "shop.env.tmp",
    /cannot be changed: EISDIR/,
    /^A directory is in its place/,
  ],
])("set says what to do about %s", async (_, named, made, message, fix) => {
  await writeFile(host.path("etc/apps/shop.yml"), `env_file: ${named}\n`);
  if (made !== undefined) await mkdir(host.path("etc/apps", made));
  const { exit, err } = await host.run(["env", "set", "shop", "A=1", "--json"]);
  expect([exit, JSON.parse(err)]).toEqual([
    1,
    expect.objectContaining({ detail: expect.stringMatching(message), fix: expect.stringMatching(fix) }),
  ]);
});
