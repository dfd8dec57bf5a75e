import { createServer } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { programStates } from "../../../../agent/contracts/privileged.ts";
import { Supervisor } from "../../../../agent/host/supervisor/supervisor.ts";
import { scratch } from "../scratch.ts";

/** A supervisord that gives this answer to every call. */
async function answering(xml: string): Promise<Supervisor> {
  const dir = scratch();
  const socket = join(dir, "s");
  const server = createServer((_, response) => response.end(`<?xml version='1.0'?>\n${xml}`)).listen(socket);
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close());
  return new Supervisor({ socket, confDir: dir });
}

/** A supervisord whose every answer is one fault, in the words of the real one. */
function faulty(code: number, text: string): Promise<Supervisor> {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return answering(
    `<methodResponse>\n<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n<value><int>${code}</int></value>\n</member>\n<member>\n<name>faultString</name>\n<value><string>${escaped}</string></value>\n</member>\n</struct></value>\n</fault>\n</methodResponse>\n`,
  );
}

/** A supervisord with one program in this state. */
function withProgram(statename: string): Promise<Supervisor> {
  const numbers = ["pid", "start", "now", "exitstatus"].map((name) => [name, "<int>0</int>"]);
  const texts = Object.entries({ name: "web-0", group: "g", statename, spawnerr: "" });
  const members = [...numbers, ...texts.map(([name, text]) => [name, `<string>${text}</string>`])];
  const struct = members.map(([name, value]) => `<member><name>${name}</name><value>${value}</value></member>`);
  return answering(
    `<methodResponse><params><param><value><array><data><value><struct>${struct.join("")}</struct></value></data></array></value></param></params></methodResponse>`,
  );
}

test.each(programStates)("a program may be %s", async (state) => {
  expect(await (await withProgram(state)).groupInfo("g")).toMatchObject([{ name: "web-0", statename: state }]);
});

test("a state that supervisor does not have is not understood", async () => {
  await expect((await withProgram("SLEEPING")).groupInfo("g")).rejects.toMatchObject({
    code: "supervisor_unreachable",
    message: expect.stringContaining("was not understood"),
  });
});

test.each([
  [
    `Format string 'KEY="s3cret%x"' for 'program:x.environment' is badly formatted: unsupported`,
    "program:x.environment has a % that is not doubled",
  ],
  [
    `Unexpected end of key/value pairs in value 'KEY="s3cret"' in section 'program:x' (file: '/etc/c/x.conf')`,
    "in a value in section 'program:x' (file: '/etc/c/x.conf')",
  ],
  ["File contains no section headers.\nfile: '/etc/c/x.conf', line: 7\n'KEY=s3cret\\n'", "(/etc/c/x.conf:7)"],
  ["Source contains parsing errors: '/etc/c/x.conf'\n\t[line  3]: 's3cret\\n'", "(/etc/c/x.conf:3)"],
  [`invalid literal for int() with base 10: 's3cret'`, "invalid literal for int() with base 10: '...'"],
])("of a broken file it tells the place, not what stands there: %s", async (text, told) => {
  const supervisor = await faulty(92, `CANT_REREAD: ${text}`);
  const error = await supervisor.reloadConfig().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "supervisor_config_broken", message: expect.stringContaining(told) });
  const { message, fix, cause } = error as { message: string; fix: string; cause: unknown };
  expect(`${message} ${fix} ${cause}`).not.toContain("s3cret");
});

test("a supervisord that is shutting down is not reachable", async () => {
  const supervisor = await faulty(6, "SHUTDOWN_STATE");
  await expect(supervisor.getAllProcessInfo()).rejects.toMatchObject({
    code: "supervisor_unreachable",
    message: expect.stringContaining("shutting down"),
  });
});

test("a supervisord that ends while it is asked is told apart from one that is not understood", async () => {
  const dir = scratch();
  const server = createServer(({ socket }) => socket.destroy()).listen(join(dir, "s"));
  onTestFinished(() => void server.close());
  await expect(new Supervisor({ socket: join(dir, "s"), confDir: dir }).pid()).rejects.toMatchObject({
    code: "supervisor_unreachable",
    message: expect.stringContaining("supervisord ended or was restarted during the call"),
  });
});

test("what is there or gone already is an answer, not an error", async () => {
  expect(await (await faulty(90, "ALREADY_ADDED: x")).addProcessGroup("x")).toBe(false);
  expect(await (await faulty(10, "BAD_NAME: x")).stopProcessGroup("x")).toBe(false);
  expect(await (await faulty(10, "BAD_NAME: x")).removeProcessGroup("x")).toBe("unknown");
  expect(await (await faulty(91, "STILL_RUNNING: x")).removeProcessGroup("x")).toBe("running");
});

test("a silent supervisord is given up in time", async () => {
  const dir = scratch();
  const server = createServer(() => undefined).listen(join(dir, "s"));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const supervisor = new Supervisor({ socket: join(dir, "s"), confDir: dir, timeoutMs: 50 });
  await expect(supervisor.pid()).rejects.toMatchObject({
    code: "supervisor_unreachable",
    message: expect.stringContaining("did not answer in time"),
  });
});
