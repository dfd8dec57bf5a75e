import { expect, test } from "vitest";
import { settingsStatus } from "../../../agent/contracts/exit-status.ts";
import { installedFiles, localPlaces, packagePlaces } from "../../../agent/install/files.ts";
import { renderAgentUnit, renderHelperSocket, renderHelperUnit, renderTmpfiles } from "../../../agent/install/units.ts";

const installation = { node: "/opt/node", programs: "/opt/cutover" };

test("the agent runs as its own user, without a capability, and with a credential for each of root's files", () => {
  const lines = renderAgentUnit(installation).split("\n");
  expect(lines).toContain(
    "ExecStart=/opt/node --max-semi-space-size=1 --expose-gc --optimize-for-size /opt/cutover/cutover-agent.mjs",
  );
  expect(lines).toContain("Type=notify");
  expect(lines).toContain("User=cutover-agent");
  expect(lines.filter((line) => line.startsWith("SupplementaryGroups="))).toEqual([]);
  expect(lines).toContain("CapabilityBoundingSet=");
  expect(lines).toContain("LoadCredential=keys:/etc/cutover/credentials");
  expect(lines).toContain("RuntimeDirectory=cutover");
  expect(lines).toContain("ReadWritePaths=/var/lib/cutover");
});

test("neither unit has what breaks node or hides the connections", () => {
  for (const text of [renderAgentUnit(installation), renderHelperUnit(installation)]) {
    expect(text).not.toMatch(/^MemoryDenyWriteExecute=|^ProcSubset=pid/m);
  }
});

test("only the agent may open the helper's socket, and each connection has a helper of its own, for a time", () => {
  const socket = renderHelperSocket().split("\n");
  expect(socket).toContain("SocketMode=0660");
  expect(socket).toContain("SocketGroup=cutover-agent");
  expect(socket).toContain("Accept=yes");
  const helper = renderHelperUnit(installation).split("\n");
  expect(helper.join("\n")).not.toContain("%i");
  expect(helper.some((line) => line.startsWith("RuntimeMaxSec="))).toBe(true);
  expect(helper).toContain("StandardInput=socket");
  expect(helper).toContain("StandardOutput=journal");
  expect(renderTmpfiles()).toContain("d /etc/cutover/credentials 0700 root root -\n");
});

test("T5 nothing of root's lies in a directory of the agent's", () => {
  const texts = [renderHelperSocket(), renderHelperUnit(installation), renderTmpfiles()].join("\n");
  expect(texts).not.toMatch(/\/run\/cutover(?![-\w])/);
  expect(renderHelperSocket()).toMatch(/^ListenStream=\/run\/[^/\n]+$/m);
  expect(renderTmpfiles()).toContain("d /run/cutover-helper 0700 root root -\n");
});

test("the package and `cutover setup` install the same texts", () => {
  const texts = (files: { path: string; text: string }[]) => files.map(({ text }) => text);
  const packaged = installedFiles(installation, packagePlaces);
  const local = installedFiles(installation, localPlaces);
  expect(texts(packaged)).toEqual(texts(local));
  expect(local.filter(({ owners }) => owners).map(({ path }) => path)).toEqual(["/etc/cutover/agent.yml"]);
});

test("systemd does not start the agent again and again with settings that only a person can correct", () => {
  const lines = renderAgentUnit(installation).split("\n");
  expect(lines).toContain("Restart=always");
  expect(lines).toContain(`RestartPreventExitStatus=${settingsStatus}`);
});
