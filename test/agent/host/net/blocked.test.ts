import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { noAnswer } from "../../../../agent/deploy/steps/no-answer.ts";
import { configSchema } from "../../../../shared/config.ts";
import { node, repository } from "../../../harness/places.ts";
import { runProgram } from "../../../harness/run.ts";

const url = (file: string) => JSON.stringify(pathToFileURL(join(repository, file)).href);
const program = `import { SocketProbe } from ${url("agent/host/net/health.ts")};
import { loopbackFault } from ${url("agent/doctor/facts/loopback.ts")};
const instance = { name: "web-0", address: "9999", protocol: "http" };
const answer = await new SocketProbe("1.0.0").check(instance, { path: "/", host: "localhost", timeoutMs: 500 });
console.log(JSON.stringify({ answer, fault: await loopbackFault() }));`;

/** What a host of its own network sees of itself. @param setUp makes that network */
async function seen(setUp: string): Promise<{ answer: { how?: string; reason: string }; fault?: string }> {
  const run = ["sh", "-ec", `${setUp}; exec "$@"`, "sh", node, "--no-warnings", "--input-type=module", "-e", program];
  const { stdout, stderr, code } = await runProgram(["unshare", "--net", "--", ...run]);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const dropped =
  "ip link add out type bridge; ip link set out up; ip addr add 192.0.2.9/24 dev out; ip route add default dev out";

test.skipIf(process.getuid?.() !== 0)(
  "an instance that the host itself cannot reach is not said to have accepted the connection",
  async () => {
    expect(await seen("true")).toMatchObject({ answer: { how: "blocked" }, fault: expect.stringMatching(/./) });
    const { answer, fault } = await seen(dropped);
    expect(answer).toMatchObject({ how: "blocked", reason: "no connection was made within 500 ms" });
    expect(fault).toMatch(/./);
    expect(await seen("ip link set lo up")).toMatchObject({ answer: { how: "absent" } });
    expect((await seen("ip link set lo up")).fault).toBeUndefined();
    const { server } = configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "a:b", bind: "port" } });
    const unanswered = { kind: "unreachable" as const, reason: answer.reason, how: "blocked" as const };
    const { message, fix } = noAnswer({
      ...{ instance: "web-0", answer: unanswered, path: "/", timeout: "30s" },
      ...{ server, cause: undefined, strays: [] },
    });
    expect(message).toContain("No connection from this host to the port of web-0");
    expect(fix).toContain("firewall");
  },
);
