import { chownSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeWheel } from "../fixtures/wheel.ts";
import { HelperHost, type Talk } from "../harness/helper-host.ts";
import { repository } from "../harness/places.ts";
import { runningWith, uniqueNap } from "../harness/processes.ts";
import { describeFiles } from "../harness/tree.ts";
import { idsOf, users } from "../harness/two-processes.ts";

/**
 * A repository that tries to get out while it is built and run: a requirements file with a build backend and a setup.py, a
 * wheel with a .pth, a manage.py as release command. What refuses it is the kernel.
 */
interface Evil {
  vector: string;
  as: number;
  found: {
    read: [path: string, outcome: string][];
    write: [path: string, outcome: string][];
    make: [path: string, outcome: string][];
    ask: [address: string | [string, number], outcome: string][];
    root: string;
    status: string[];
    environment: string[];
  };
}

let host: HelperHost;
let talk: Talk;
let before: Record<string, string>;
let listening: [string, number];
const listener = createServer((socket) => socket.destroy());
const server = { kind: "gunicorn", app: "shop:application" };
const sealed = "20261121T100000Z-0000000";
const nap = uniqueNap();
const evil = () => readFileSync(join(repository, "test/hostile/evil.py"), "utf8");
const [app, builder] = [idsOf(users.app), idsOf(users.builder)];

beforeAll(async () => {
  host = await HelperHost.open();
  talk = host.talk();
  const agent = idsOf(users.agent);
  for (const name of ["shop", "other"]) {
    await talk.done("prepareApp", { app: name });
    const { home, shared } = host.layout(name);
    writeFileSync(join(home, "state.json"), "{}", { mode: 0o600 });
    chownSync(join(home, "state.json"), agent.uid, agent.gid);
    writeFileSync(join(shared, "upload"), "private\n");
  }
  for (const name of ["spent-tokens", "signing.key"]) {
    writeFileSync(join(host.data, name), "agent's\n", { mode: 0o600 });
    chownSync(join(host.data, name), agent.uid, agent.gid);
  }
  writeFileSync(join(host.etc, "server.key"), "root's\n", { mode: 0o600 });
  await host.unpack({
    release: sealed,
    files: { "app/shop.py": "# sealed\n" },
    config: { python: { wheels: "none" } },
  });
  await talk.done("sealRelease", { app: "shop", release: sealed });
  await host.build(talk, sealed);
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  listening = ["127.0.0.1", typeof address === "object" && address !== null ? address.port : 0];
  before = snapshot();
});
afterAll(async () => {
  listener.close();
  await host?.[Symbol.asyncDispose]();
});

/** Everything but what belongs to the releases that are built here. */
function snapshot(): Record<string, string> {
  const all = Object.entries(describeFiles(host.directory, ["lock"]));
  const { releases, venvs, objects, build } = host.layout();
  expect(readdirSync(build)).toEqual([]);
  const own = [releases, venvs, objects, build].map((path) => path.slice(host.directory.length + 1));
  return Object.fromEntries(
    all.filter(([path]) => path.includes(sealed) || !own.some((each) => path.startsWith(each) || path === each)),
  );
}

function places() {
  const [shop, other] = [host.layout(), host.layout("other")];
  const [venv = ""] = readdirSync(shop.venvs);
  return {
    nap,
    read: [
      join(host.etc, "apps/other.env"),
      join(host.etc, "apps/shop.env"),
      join(host.etc, "server.key"),
      join(host.data, "spent-tokens"),
      join(host.data, "signing.key"),
      join(shop.home, "state.json"),
      join(other.home, "state.json"),
      join(other.shared, "upload"),
      other.shared,
      shop.home,
      shop.logs,
      shop.launches,
      "/etc/shadow",
      "/root",
      "/proc/1/environ",
    ],
    write: [
      join(shop.app(sealed), "shop.py"),
      join(shop.release(sealed), "manifest.json"),
      join(shop.venv(venv), "pyvenv.cfg"),
      join(shop.venv(venv), ".complete"),
      join(shop.home, "state.json"),
      join(other.shared, "upload"),
      join(host.etc, "agent.yml"),
      join(host.etc, "apps/shop.yml"),
    ],
    make: [
      ...[shop.home, shop.releases, shop.release(sealed), shop.app(sealed), shop.venvs, shop.venv(venv)],
      ...[shop.run, shop.launches, shop.logs, shop.ports, other.home, other.shared],
      ...[host.data, host.etc, host.confDir, host.nginxDir],
    ],
    ask: [join(host.directory, "helper.sock"), listening],
  };
}

/** What a request ran told of itself. @param refused the code of the request's error; none unless given */
async function evils(method: string, params: unknown, refused?: string): Promise<Evil[]> {
  const known = talk.answers.length;
  const { error } = await talk.ask(method, params);
  expect(error?.code, error?.detail).toBe(refused);
  const lines = talk.answers.slice(known).flatMap(({ output }) => output?.[1] ?? []);
  return lines.flatMap((line) => {
    const found = /EVIL (\{.*\})/.exec(line)?.[1];
    return found === undefined ? [] : [JSON.parse(found) as Evil];
  });
}

/** A build does not even see what is not for it. */
const refusals = /^(Permission denied|No such file or directory|Read-only file system)$/;

const onlyItsView = /^done \[('(venvs|releases|originals)'(, )?)+\]$/;

/** Whatever it tried, the kernel said no; nothing of it runs any more, and nothing was changed. */
function expectRefused(all: Evil[], vectors: string[], { network, as: uid }: { network: boolean; as: number }): void {
  expect([...new Set(all.map(({ vector }) => vector))].toSorted()).toEqual(vectors.toSorted());
  for (const { as, found } of all) {
    expect(as).toBe(uid);
    const { home } = host.layout();
    const read = found.read.map(([path, outcome]) => [
      path,
      path === home ? outcome.replace(onlyItsView, "Permission denied") : outcome,
    ]);
    for (const tried of [...read, ...found.write, ...found.make]) {
      expect(tried).toEqual([tried[0], expect.stringMatching(refusals)]);
    }
    const [helper, tcp] = found.ask;
    expect(helper?.[1]).toMatch(refusals);
    expect(tcp?.[1]).toMatch(network ? /^done/ : /unreachable|refused/i);
    expect(found.root).toBe("Operation not permitted");
    expect(found.status.slice(0, 1)).toEqual(["0000000000000000"]);
    expect(found.status.at(-1)).toBe("1");
  }
  expect(runningWith("sleep", nap)).toEqual([]);
  expect(snapshot()).toEqual(before);
}

const evilFiles = (directory: string) => ({
  [`${directory}/evil.py`]: evil(),
  [`${directory}/places.json`]: JSON.stringify(places()),
});

describe("a repository that tries to get out is refused by the kernel:", () => {
  test("a requirements file with a project whose setup.py is its build backend", async () => {
    const backend = 'import evil\nevil.run("setup.py")\ndef build_wheel(*_, **__):\n    raise SystemExit("no wheel")\n';
    const release = await host.unpack({
      release: "20261121T110000Z-1111111",
      config: { python: { wheels: "index" } },
      files: {
        "app/requirements.txt": "--no-index\n./kit\n",
        "app/kit/pyproject.toml":
          '[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n[project]\nname = "kit"\nversion = "1"\n',
        "app/kit/setup.py": backend,
        ...evilFiles("app/kit"),
      },
    });
    await talk.done("sealRelease", { app: "shop", release });
    const tried = await evils("buildEnvironment", { app: "shop", release }, "environment_failed");
    expectRefused(tried, ["setup.py"], { network: true, as: builder.uid });
  });

  test("a wheel with a .pth, while it is installed and while it is used, and a manage.py", async () => {
    const wheel = makeWheel("kit", "1.0", "", {
      "kit.pth":
        'import sys, os; sys.path.insert(0, os.path.join(sys.prefix, "kit_evil")) or __import__("evil").run(".pth")\n',
      "kit-1.0.data/data/kit_evil/evil.py": evil(),
      "kit-1.0.data/data/kit_evil/places.json": JSON.stringify(places()),
    });
    const config = {
      python: { wheels: "vendor" },
      release: { command: "python manage.py" },
      env: { LD_PRELOAD: "/nowhere.so" },
    };
    const release = await host.unpack({
      release: "20261121T120000Z-2222222",
      config,
      files: {
        "app/requirements.txt": "kit\n",
        "app/manage.py": 'import evil\nevil.run("manage.py")\n',
        ...evilFiles("app"),
        [wheel.path]: wheel.content,
      },
    });
    await talk.done("sealRelease", { app: "shop", release });
    expectRefused(await evils("buildEnvironment", { app: "shop", release }), [], { network: false, as: builder.uid });
    await host.build(talk, release);
    const spec = { app: "shop", run: release, release, config: { app: "shop", server, ...config } };
    const command = { spec, argv: ["python", "manage.py"], timeoutMs: 60_000 };
    const all = await evils("runCommand", command);
    expectRefused(all, [".pth", "manage.py"], { network: true, as: app.uid });
    // Its own secrets are in its environment, and nothing of the helper's is.
    for (const { found } of all) {
      expect(found.environment).toContain("SECRET");
      expect(found.environment.filter((name) => /NODE|SYSTEMD|LISTEN/.test(name))).toEqual([]);
    }
  });

  test("a setup.py that would leave links, pipes and bits behind for root", async () => {
    const leave = `import os
os.symlink("/etc/shadow", ".complete")
os.chmod("manage.py", 0o4777)
os.mkfifo("pipe")
os.symlink("/etc", "venv.tmp")
`;
    const release = await host.unpack({
      release: "20261121T130000Z-3333333",
      config: { python: { wheels: "index" } },
      files: {
        "app/requirements.txt": "--no-index\n./kit\n",
        "app/kit/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n',
        "app/kit/setup.py": `import os, glob\nfor place in ["../..", *glob.glob("../../../../venvs/*")]:\n    try:\n        os.chdir(place)\n${leave.replace(/^/gm, "        ")}\n    except OSError: pass\n`,
        "app/manage.py": "",
      },
    });
    await talk.done("sealRelease", { app: "shop", release });
    const tree = () => describeFiles(join(host.layout().release(release), "app"));
    const built = tree();
    await talk.ask("buildEnvironment", { app: "shop", release });
    expect(tree()).toEqual(built);
    expect(snapshot()).toEqual(before);
  });
});
