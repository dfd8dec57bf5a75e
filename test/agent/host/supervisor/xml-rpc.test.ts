import { createServer } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { callXmlRpc, decodeResponse, encodeCall, XmlRpcFault } from "../../../../agent/host/supervisor/xml-rpc.ts";
import { scratch } from "../scratch.ts";

const answer = (value: string) =>
  `<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>${value}</value>\n</param>\n</params>\n</methodResponse>\n`;

test("a call carries its parameters by type, with markup escaped", () => {
  expect(encodeCall("supervisor.startProcessGroup", ["a<&>b", false, 3])).toBe(
    '<?xml version="1.0"?><methodCall><methodName>supervisor.startProcessGroup</methodName><params>' +
      "<param><value><string>a&lt;&amp;&gt;b</string></value></param>" +
      "<param><value><boolean>0</boolean></value></param>" +
      "<param><value><int>3</int></value></param></params></methodCall>",
  );
});

test("answers become plain values", () => {
  expect(decodeResponse(answer("<string> 007 &lt;a&gt; &amp; ü </string>"))).toBe(" 007 <a> & ü ");
  expect(decodeResponse(answer("<int>-12</int>"))).toBe(-12);
  expect(decodeResponse(answer("<boolean>1</boolean>"))).toBe(true);
  expect(decodeResponse(answer("<string></string>"))).toBe("");
  expect(decodeResponse(answer("plain"))).toBe("plain");
  expect(decodeResponse(answer(""))).toBe("");
  expect(decodeResponse(answer("<array><data>\n</data></array>"))).toEqual([]);
  expect(decodeResponse(answer("<array><data>\n<value><int>1</int></value>\n</data></array>"))).toEqual([1]);
  expect(
    decodeResponse(
      answer(
        "<struct>\n<member>\n<name>pid</name>\n<value><int>7</int></value>\n</member>\n<member>\n<name>of</name>\n<value><array><data>\n<value><string>a</string></value>\n<value><string>1</string></value>\n</data></array></value>\n</member>\n</struct>",
      ),
    ),
  ).toEqual({ pid: 7, of: ["a", "1"] });
});

test("thousands of escaped characters are not taken for an attack", () => {
  expect(decodeResponse(answer(`<string>${"&lt;".repeat(20_000)}</string>`))).toBe("<".repeat(20_000));
});

test("a fault is thrown with its number", () => {
  const xml =
    "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>92</int></value></member><member><name>faultString</name><value><string>CANT_REREAD: x</string></value></member></struct></value></fault></methodResponse>";
  expect(() => decodeResponse(xml)).toThrow(XmlRpcFault);
  expect(() => decodeResponse(xml)).toThrow(expect.objectContaining({ faultCode: 92, message: "CANT_REREAD: x" }));
});

test.each(["", "<html></html>", "nonsense", answer("<int>x</int>"), answer("<future>1</future>")])(
  "%j is refused",
  (xml) => {
    expect(() => decodeResponse(xml)).toThrow(SyntaxError);
  },
);

test("a server that does not answer is given up in time", async () => {
  const socket = join(scratch(), "s");
  const server = createServer(() => undefined).listen(socket);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await expect(callXmlRpc({ socket, path: "/RPC2", timeoutMs: 50 }, "x", [])).rejects.toMatchObject({
    name: "AbortError",
  });
});

test("an HTTP error is an error", async () => {
  const socket = join(scratch(), "s");
  const server = createServer((_, response) => response.writeHead(401).end()).listen(socket);
  onTestFinished(() => void server.close());
  await expect(callXmlRpc({ socket, path: "/RPC2", timeoutMs: 1000 }, "x", [])).rejects.toThrow("HTTP status 401");
});
