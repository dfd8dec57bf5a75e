import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseTcpTable } from "../../../../agent/host/net/proc-net.ts";
import { listenedPorts, takenAddresses } from "../../../../agent/host/net/taken-addresses.ts";
import { embeddedHost } from "../embedded-host.ts";
import { freePort, testConfig } from "../scratch.ts";

const table = (...lines: string[]) =>
  parseTcpTable(
    lines
      .map(
        (line, index) =>
          `   ${index}: ${line} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1`,
      )
      .join("\n"),
  );

test.each([
  ["127.0.0.1:8080", "0100007F:1F90", true],
  ["127.0.0.1:8080", "00000000:1F90", true],
  ["127.0.0.1:8080", "00000000000000000000000000000000:1F90", true],
  ["127.0.0.1:8080", "0200007F:1F90", false],
  ["127.0.0.1:8081", "0100007F:1F90", false],
  [8080, "0200007F:1F90", true],
  ["8080 ssl", "0200007F:1F90", true],
  ["127.0.0.1:8080 ssl", "0100007F:1F90", true],
])("%s beside a listener on %s: taken %s", (address, listener, taken) => {
  expect(takenAddresses([address], table(listener))).toEqual(taken ? [address] : []);
});

test("connections on a port do not take it", () => {
  const connection = "   0: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 1";
  expect(takenAddresses([8080], parseTcpTable(connection))).toEqual([]);
});

test("the ports of a configuration are found in each form of listen", () => {
  const text =
    "listen 8081;\n  listen 127.0.0.1:8082 ssl;\n\tlisten [::]:8083 default_server;\nlisten unix:/s;\nlisten localhost;\n# listen 9;\n";
  expect([...listenedPorts(text)]).toEqual([8081, 8082, 8083, 80]);
});

test("an address that another program has is refused before anything is unpacked, and nginx's own is not", async () => {
  const { privileged, embedded, port } = await embeddedHost();
  const taken = await freePort();
  const file = join(embedded.appsDir, "shop.yml");
  writeFileSync(file, `listen: ["127.0.0.1:${port}", "127.0.0.1:${taken}"]\npreview: ["127.0.0.1:${taken}"]\n`);
  const site = { listen: [`127.0.0.1:${port}`] };
  const preview = testConfig({ site: { ...site, preview: { listen: `127.0.0.1:${taken}` } } });
  await privileged.checkSite("shop", preview);

  const server = createServer().listen(taken, "127.0.0.1");
  onTestFinished(() => void server.close());
  await expect(privileged.checkSite("shop", preview)).rejects.toMatchObject({
    code: "address_in_use",
    message: expect.stringContaining(`site.preview.listen of shop is 127.0.0.1:${taken}`),
    fix: expect.stringContaining(`${file} allows: preview: [`),
  });
  const main = testConfig({ site: { listen: [`127.0.0.1:${taken}`] } });
  await expect(privileged.checkSite("shop", main)).rejects.toMatchObject({ code: "address_in_use" });
  await privileged.checkSite("shop", testConfig({ site }));

  // A site that nginx serves there already.
  await privileged.prepareApp("shop");
  const config = testConfig({ site });
  await privileged.writeSite("shop", { main: { config, slots: new Array(60).fill(null) }, preview: null });
  await privileged.checkSite("shop", config);
});
