import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  countConnections,
  countTcpConnections,
  ProcNetConnections,
  parseTcpTable,
} from "../../../../agent/host/net/proc-net.ts";
import { eventually, scratch } from "../scratch.ts";

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

test("who listens is seen at once, on a socket and on a port, and when nobody does any more", async () => {
  const socket = join(scratch(), "a b.sock");
  const [local, network] = [createServer().listen(socket), createServer().listen(0, "127.0.0.1")];
  await Promise.all([once(local, "listening"), once(network, "listening")]);
  onTestFinished(() => void network.close());
  const open = `127.0.0.1:${(network.address() as AddressInfo).port}`;
  const addresses = [`unix:${socket}`, `unix:${socket}.2`, open, "127.0.0.1:1"];
  const listening = () => new ProcNetConnections().listening(addresses);
  expect(await listening()).toEqual(new Set([`unix:${socket}`, open]));
  local.close();
  await once(local, "close");
  expect(await listening()).toEqual(new Set([open]));
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
  const count = async () => (await new ProcNetConnections().count([`unix:${socket}`])).get(`unix:${socket}`);
  await eventually(async () => accepted.length === 2);
  expect(await count()).toBe(2);
  clients[0]?.destroy();
  await eventually(async () => (await count()) === 1);
  clients[1]?.destroy();
  await eventually(async () => (await count()) === 0);
});

test("H10 a port that is open to the network is told from one of this host", async () => {
  const listen = async (host: string) => {
    const server = createServer().listen(0, host);
    await once(server, "listening");
    onTestFinished(() => void server.close());
    return (server.address() as AddressInfo).port;
  };
  const [all, v6, inside, alias] = [
    await listen("0.0.0.0"),
    await listen("::"),
    await listen("127.0.0.1"),
    await listen("127.0.0.9"),
  ];
  const addresses = [all, v6, inside, alias].map((port) => `127.0.0.1:${port}`);
  const outside = await new ProcNetConnections().outside([...addresses, "unix:/run/a.sock"]);
  expect([...outside]).toEqual([
    [`127.0.0.1:${all}`, `0.0.0.0:${all}`],
    [`127.0.0.1:${v6}`, `[::]:${v6}`],
  ]);
});

test("of TCP the listener's end counts, while something may still come over it", () => {
  const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
  const line = (local: string, state: string, unsent = "00000000") =>
    `   0: ${local} 0100007F:9C40 ${state} ${unsent}:00000000 00:00000000 00000000     0        0 12345 1 0 100 0\n`;
  const mapped = "0000000000000000FFFF00000100007F";
  const table = [
    head,
    line("0100007F:2328", "0A"),
    line("0100007F:2328", "01"),
    line("0100007F:2328", "08"),
    line("0100007F:2328", "03"),
    line("0100007F:2328", "04", "0000000A"),
    line("0100007F:2328", "04"),
    line("0100007F:2328", "06"),
    line(`${mapped}:2328`, "01"),
    // Another address of this machine, and the client's end of a connection.
    line("0A00000A:2328", "01"),
    line("0100007F:9C40", "01"),
  ].join("");
  expect(countTcpConnections(parseTcpTable(table), [9000, 9001])).toEqual(
    new Map([
      [9000, 5],
      [9001, 0],
    ]),
  );
});

test.each(["127.0.0.1", "::"])("the kernel's table shows TCP connections to a listener on %s", async (host) => {
  const accepted: Socket[] = [];
  const server = createServer((connection) => accepted.push(connection)).listen(0, host);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clients = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  onTestFinished(() => {
    for (const end of [...clients, ...accepted]) end.destroy();
  });
  const socket = join(scratch(), "other.sock");
  const count = async () => {
    const counts = await new ProcNetConnections().count([`127.0.0.1:${port}`, `unix:${socket}`]);
    expect(counts.get(`unix:${socket}`)).toBe(0);
    return counts.get(`127.0.0.1:${port}`);
  };
  await eventually(async () => accepted.length === 2);
  expect(await count()).toBe(2);
  clients[0]?.destroy();
  await eventually(async () => (await count()) === 1);
  // Closed only by the visitor: the server may still answer.
  clients[1]?.end();
  await eventually(async () => (await count()) === 0);
});

test.each(["AF_UNIX", "AF_INET"])("connections that nobody has accepted count: %s", async (family) => {
  const socket = join(scratch(), "b.sock");
  const place = family === "AF_UNIX" ? JSON.stringify(socket) : '("127.0.0.1", 0)';
  const code = `import socket, time
s = socket.socket(socket.${family}); s.bind(${place}); s.listen(5); print(s.getsockname(), flush=True); time.sleep(600)`;
  const python = spawn("/usr/bin/python3", ["-c", code], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void python.kill("SIGKILL"));
  const [said] = await once(python.stdout, "data");
  const port = Number(/(\d+)\)/.exec(String(said))?.[1]);
  const address = family === "AF_UNIX" ? `unix:${socket}` : `127.0.0.1:${port}`;
  const count = async () => (await new ProcNetConnections().count([address])).get(address);
  expect(await count()).toBe(0);
  const client = family === "AF_UNIX" ? connect(socket) : connect(port, "127.0.0.1");
  onTestFinished(() => void client.destroy());
  await once(client, "connect");
  expect(await count()).toBe(1);
});
