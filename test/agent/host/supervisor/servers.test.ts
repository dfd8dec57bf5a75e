import { expect, test } from "vitest";
import { instanceNames, serverArguments } from "../../../../agent/host/supervisor/servers.ts";
import { testConfig } from "../scratch.ts";

const place = { directory: "/r/app", venv: "/r/venv", socket: "/run/web-1.sock", instance: "web-1" };

test("gunicorn", () => {
  const config = testConfig({ server: { kind: "gunicorn", app: "shop.wsgi:application", workers: 3, threads: 4 } });
  expect(serverArguments(config, place)).toEqual([
    ...["/r/venv/bin/python", "-m", "gunicorn", "--bind", "unix:/run/web-1.sock", "--workers", "3", "--threads", "4"],
    ...["--umask", "0", "--name", "web-1", "--error-logfile", "-", "shop.wsgi:application"],
  ]);
  expect(instanceNames(config)).toEqual(["web-0", "web-1"]);
});

test("a command is split as a shell would, and its places are filled once", () => {
  const command = `python app.py --path={socket} --name='{instance} of {workers}' "{unknown}"`;
  const config = testConfig({ server: { kind: "command", command, workers: 5 } });
  expect(serverArguments(config, place)).toEqual([
    ...["python", "app.py", "--path=/run/web-1.sock", "--name=web-1 of 5", "{unknown}"],
  ]);
  expect(serverArguments(config, { ...place, socket: "/{instance}" })).toContain("--path=/{instance}");
});

test("a list is taken word by word", () => {
  const config = testConfig({ server: { kind: "command", command: ["run me", "'{socket}'", "$HOME"] } });
  expect(serverArguments(config, place)).toEqual(["run me", "'/run/web-1.sock'", "$HOME"]);
});
