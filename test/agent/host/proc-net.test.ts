import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { countConnections, ProcNetConnections } from "../../../agent/host/proc-net.ts";
import { eventually, scratch } from "./scratch.ts";

test("only accepted and waiting connections of exactly these paths count", () => {
  const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01  1001 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03  1002 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 02     0 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03  1003
0000000000000000: 00000003 00000000 00000000 0001 03  1004 /run/a b.sock.2
`;
  expect(countConnections(table, ["/run/a b.sock", "/run/c"])).toEqual(
    new Map([
      ["/run/a b.sock", 2],
      ["/run/c", 0],
    ]),
  );
});

test("the kernel's table shows each open connection until it is closed", async () => {
  const socket = join(scratch(), "a.sock");
  const accepted: Socket[] = [];
  const server = createServer((connection) => accepted.push(connection)).listen(socket);
  onTestFinished(() => void server.close());
  const clients = [connect(socket), connect(socket)];
  onTestFinished(() => {
    for (const end of [...clients, ...accepted]) end.destroy();
  });
  const count = async () => (await new ProcNetConnections().count([socket])).get(socket);
  await eventually(async () => accepted.length === 2);
  expect(await count()).toBe(2);
  clients[0]?.destroy();
  await eventually(async () => (await count()) === 1);
  clients[1]?.destroy();
  await eventually(async () => (await count()) === 0);
});
