import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { generateKey } from "../../../shared/key.ts";
import { Workspace } from "../../action/workspace.ts";
import { runAction } from "../../harness/action.ts";

/** T13: programs of the repository could read the Action's secrets in /proc/$PPID/environ. */

const config = `app: shop
server: { kind: command, command: "python3 main.py --path={socket}" }
static:
  - { url: /static/, from: collected, collect: sh collect.sh }
`;
/** What any program of the same user can see of the Action and of every other process. */
const collect = `mkdir -p collected
for each in /proc/[0-9]*; do
  tr '\\0' '\\n' < "$each/environ"
  tr '\\0' '\\n' < "$each/cmdline"
done > collected/seen.txt 2>/dev/null
tr '\\0' '\\n' < /proc/$PPID/environ > collected/parent.txt
find "$RUNNER_TEMP" > collected/files.txt
`;

test("T13: nothing that a build command can read of processes and files has the Action's secrets", async () => {
  using space = new Workspace();
  space.write("cutover.yml", config);
  space.write("collect.sh", collect);
  space.write("main.py", "");
  const { privatePem } = await generateKey();
  const [, firstLine = ""] = privatePem.split("\n");
  const env = {
    ACTIONS_ID_TOKEN_REQUEST_URL: "http://127.0.0.1:1/idtoken?request-address",
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "bearer-of-the-job",
    ACTIONS_RUNTIME_TOKEN: "token-of-the-runtime",
    OF_THE_WORKFLOW: "meant-for-everybody",
    RUNNER_TEMP: space.at("temp"),
  };
  space.write("temp/kept", "");
  const inputs = { "dry-run": "true", hosts: "http://127.0.0.1:1", "signing-key": privatePem };
  const { exitCode, stdout } = await runAction({ inputs, cwd: space.at("."), env });
  expect([exitCode, stdout]).toEqual([0, expect.any(String)]);
  const read = (name: string) => readFileSync(space.at(`collected/${name}`), "utf8");
  for (const name of ["parent.txt", "seen.txt"]) {
    const seen = read(name);
    expect(seen, name).toContain("OF_THE_WORKFLOW=meant-for-everybody");
    for (const secret of ["bearer-of-the-job", "request-address", "token-of-the-runtime", firstLine]) {
      expect(seen.includes(secret), `${secret} is not in ${name}`).toBe(false);
    }
  }
  expect(read("files.txt")).not.toContain("cutover-start-");
  expect(readdirSync(space.at("temp")).filter((name) => name.startsWith("cutover-start-"))).toEqual([]);
});

test("T13: the inputs still count after the second start", async () => {
  using space = new Workspace();
  space.write("nothing", "");
  const { exitCode, annotations } = await runAction({
    inputs: { config: "other.yml", hosts: "http://127.0.0.1:1" },
    cwd: join(space.at("."), ""),
  });
  expect(exitCode).toBe(1);
  expect(JSON.stringify(annotations)).toContain("other.yml");
});
