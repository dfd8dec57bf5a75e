import { expect, test } from "vitest";
import { parseMessage } from "../../../agent/helper/messages.ts";
import { type HelperMethod, methods, parseResult } from "../../../agent/helper/methods.ts";
import { release } from "../host/scratch.ts";

test("the methods of the last release are all there, by their names", () => {
  expect(Object.keys(methods)).toEqual([
    ...[
      "prepareHost",
      "prepareApp",
      "removeApp",
      "instances",
      "listening",
      "strayListeners",
      "startPrograms",
      "programs",
      "removePrograms",
    ],
    ...["runs", "revivePrograms", "fullShare"],
    ...["startProcess", "processes", "stopProcess", "removeProcess", "runCommand", "maskSecrets", "commandEnvironment"],
    ...["checkSite", "writeSite", "rotateRequests", "upstreamServers"],
    ...["certificateRequest", "installCertificate", "certificate"],
    ...["oldWorkers", "buildEnvironment", "compileBytecode"],
    ...["environmentPresent", "collectEnvironments", "sealRelease", "removeRelease", "collectLogs"],
  ]);
});

test.each([
  ["a request", { id: 1, method: "runs", params: { app: "shop" } }],
  ["a request without params to give", { id: 1, method: "oldWorkers", params: {} }],
  ["a cancellation", { cancel: 1 }],
])("%s is understood as it was sent", (_, message) => {
  expect(parseMessage(message)).toEqual(message);
});

test.each([
  ["no object", "runs"],
  ["a method that is not in the table", { id: 1, method: "run", params: {} }],
  ["a name that every object has", { id: 1, method: "constructor", params: {} }],
  ["params of another method", { id: 1, method: "runs", params: { app: "shop", run: release } }],
  ["no params", { id: 1, method: "oldWorkers" }],
  ["a path for an app", { id: 1, method: "runs", params: { app: "../shop" } }],
  ["another field", { id: 1, method: "oldWorkers", params: {}, as: "root" }],
  ["no id", { method: "oldWorkers", params: {} }],
  ["a request and a cancellation in one", { id: 1, method: "oldWorkers", params: {}, cancel: 1 }],
])("%s is no message", (_, message) => {
  expect(parseMessage(message)).toBeUndefined();
});

const status = { name: "web-0", state: "RUNNING", pid: 7, uptime: 1000, detail: "" };
test.each<[HelperMethod, unknown]>([
  ["prepareApp", undefined],
  ["programs", undefined],
  ["programs", [status]],
  ["processes", [{ run: release, process: "worker", stopMs: 10, programs: [{ ...status, signalled: false }] }]],
  ["commandEnvironment", { release, directory: "/app", env: { A: "b" }, uid: 1000, gid: 1000 }],
  ["commandEnvironment", { release, directory: "/app", env: {} }],
  ["upstreamServers", { main: [], preview: [], unread: true }],
  ["certificate", undefined],
  ["runCommand", 0],
])("%s answers %j", (method, result) => {
  const sent = JSON.parse(JSON.stringify({ result })).result;
  expect(parseResult(method, sent)).toEqual({ success: true, data: result });
});

test.each<[HelperMethod, unknown]>([
  ["programs", [{ ...status, state: "SLEEPING" }]],
  ["programs", null],
  ["runCommand", "0"],
  ["oldWorkers", undefined],
  ["buildEnvironment", { key: "a" }],
  ["compileBytecode", [1]],
])("%s never answers %j", (method, result) => {
  expect(parseResult(method, result).success).toBe(false);
});
