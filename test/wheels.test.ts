import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { copyShop } from "./fixtures/shop.ts";
import { offlinePip, systemPath } from "./harness/places.ts";
import { runProgram } from "./harness/run.ts";
import { Scratch } from "./harness/scratch.ts";

const python = "/usr/bin/python3";

async function run(argv: string[], cwd: string, env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await runProgram(argv, { cwd, env: { PATH: systemPath, HOME: cwd, ...env } });
  expect(code, `${argv.join(" ")}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

it("makes wheels that pip resolves and installs without an index, and that Django and gunicorn run from", async () => {
  await using scratch = new Scratch("wheels");
  const { path } = scratch;
  const pip = await offlinePip();
  await copyShop(path);
  const wheel = ["wheel", "--requirement", "requirements.txt", "--wheel-dir", "vendored"];
  await run([python, "-m", "pip", ...wheel], path, pip);
  const wheels = readdirSync(join(path, "vendored"));
  // All that was made, since all of it is needed; what that is beside these depends on the Debian release.
  const made = readFileSync(join(pip.PIP_FIND_LINKS ?? "", "complete"), "utf8")
    .trim()
    .split("\n");
  expect(wheels.toSorted()).toEqual(made.toSorted());
  const names = wheels.map((name) => name.split("-")[0]?.toLowerCase());
  expect(names).toEqual(expect.arrayContaining(["django", "asgiref", "gunicorn", "sqlparse"]));
  await run([python, "-m", "venv", "--without-pip", "venv"], path);
  const options = ["--no-index", "--no-deps", "--only-binary", ":all:", "--no-compile", "--quiet"];
  const files = wheels.map((name) => join("vendored", name));
  await run([python, "-m", "pip", "--python", "venv/bin/python", "install", ...options, ...files], path);
  const shown = await run([python, "-m", "pip", "--python", "venv/bin/python", "check"], path);
  expect(shown).toContain("No broken requirements");
  writeFileSync(join(path, "which.py"), "import django, gunicorn\nprint(django.__file__, gunicorn.__file__)\n");
  expect(await run(["venv/bin/python", "which.py"], path)).toMatch(
    new RegExp(`^${path}/venv/\\S+/django/__init__.py ${path}/venv/\\S+/gunicorn/__init__.py`),
  );
  const shopSettings = { DJANGO_SETTINGS_MODULE: "shop.settings" };
  await run(["venv/bin/python", "manage.py", "check"], path, shopSettings);
  await run(["venv/bin/gunicorn", "--check-config", "shop.wsgi:application"], path, shopSettings);
}, 60_000);

it("says which distribution is missing", async () => {
  await using scratch = new Scratch("wheels");
  const { code, stderr } = await runProgram([python, "test/wheels.py", join(scratch.path, "out"), "no-such-package"]);
  expect(code).toBe(1);
  expect(stderr).toContain("no Debian package installed no-such-package");
});
