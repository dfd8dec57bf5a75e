import { request } from "node:http";
import { XMLBuilder, XMLParser } from "fast-xml-parser";

/** The XML-RPC values that supervisor uses. */
export type XmlRpcValue = string | number | boolean | null | XmlRpcValue[] | { [name: string]: XmlRpcValue };

/** It answered, and not with a result. */
export class HttpStatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`HTTP status ${status}`);
    this.status = status;
  }
}

/** A fault that the server answered, with the server's number and text. */
export class XmlRpcFault extends Error {
  override readonly name = "XmlRpcFault";
  readonly faultCode: number;

  constructor(faultCode: number, faultString: string) {
    super(faultString);
    this.faultCode = faultCode;
  }
}

export interface XmlRpcEndpoint {
  /** The server's unix socket. */
  socket: string;
  path: string;
  /** For the whole call, in milliseconds. */
  timeoutMs: number;
}

const builder = new XMLBuilder({});
const repeated = new Set(["param", "member", "value"]);
const parser = new XMLParser({
  ignoreAttributes: true,
  // Numbers and spaces inside strings stay as they were sent. The type tags say what is a number.
  parseTagValue: false,
  trimValues: false,
  isArray: (name) => repeated.has(name),
  // The answer comes from supervisor, on a socket of this host. Log excerpts may hold thousands of &lt;.
  processEntities: { enabled: true, maxTotalExpansions: 10_000_000, maxExpandedLength: 100_000_000 },
  htmlEntities: true,
});

/** The XML of a call. */
export function encodeCall(method: string, params: XmlRpcValue[]): string {
  const param = params.map((value) => ({ value: encodeValue(value) }));
  return `<?xml version="1.0"?>${builder.build({ methodCall: { methodName: method, params: { param } } })}`;
}

function encodeValue(value: XmlRpcValue): object {
  switch (typeof value) {
    case "string":
      return { string: value };
    case "boolean":
      return { boolean: value ? 1 : 0 };
    case "number":
      return Number.isInteger(value) ? { int: value } : { double: value };
  }
  if (value === null) return { nil: "" };
  if (Array.isArray(value)) return { array: { data: { value: value.map(encodeValue) } } };
  const member = Object.entries(value).map(([name, inner]) => ({ name, value: encodeValue(inner) }));
  return { struct: { member } };
}

/**
 * The value in an answer.
 * @throws XmlRpcFault for a fault, SyntaxError for what is no XML-RPC answer
 */
export function decodeResponse(xml: string): XmlRpcValue {
  const response = child(parser.parse(xml), "methodResponse");
  if (isNode(response) && isNode(response.fault)) {
    const fault = decodeValue(first(response.fault.value));
    const { faultCode, faultString } = isNode(fault) ? fault : {};
    throw new XmlRpcFault(Number(faultCode), String(faultString));
  }
  const param = first(child(child(response, "params"), "param"));
  return decodeValue(first(child(param, "value")));
}

interface Node {
  [tag: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);

function child(node: unknown, tag: string): unknown {
  if (!isNode(node) || !(tag in node)) throw new SyntaxError(`not an XML-RPC answer: <${tag}> is missing`);
  return node[tag];
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const first = (value: unknown): unknown => list(value)[0];

function decodeValue(node: unknown): XmlRpcValue {
  // A value without a type tag is a string.
  if (typeof node === "string") return node;
  if (!isNode(node)) throw new SyntaxError("not an XML-RPC answer: a value is missing");
  const type = Object.keys(node).find((key) => key !== "#text");
  if (type === undefined) return String(node["#text"] ?? "");
  const inner = node[type];
  switch (type) {
    case "string":
    case "dateTime.iso8601":
    case "base64":
      return String(inner);
    case "int":
    case "i4":
    case "i8":
    case "double":
      return number(inner);
    case "boolean":
      return number(inner) === 1;
    case "nil":
      return null;
    case "array":
      return list(isNode(inner) && isNode(inner.data) ? inner.data.value : undefined).map(decodeValue);
    case "struct":
      return Object.fromEntries(
        list(isNode(inner) ? inner.member : undefined).map((member) => [
          String(child(member, "name")),
          decodeValue(first(child(member, "value"))),
        ]),
      );
    default:
      throw new SyntaxError(`not an XML-RPC answer: a value has the type ${type}`);
  }
}

function number(text: unknown): number {
  const value = Number(text);
  if (text === "" || Number.isNaN(value)) throw new SyntaxError("not an XML-RPC answer: a number is none");
  return value;
}

/**
 * One call over a unix socket.
 * @throws XmlRpcFault, SyntaxError, or the system's error if nothing answers in time
 */
export async function callXmlRpc(
  endpoint: XmlRpcEndpoint,
  method: string,
  params: XmlRpcValue[],
): Promise<XmlRpcValue> {
  return decodeResponse(await post(endpoint, encodeCall(method, params)));
}

function post({ socket, path, timeoutMs }: XmlRpcEndpoint, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: socket,
        path,
        method: "POST",
        agent: false,
        headers: { "Content-Type": "text/xml", "Content-Length": Buffer.byteLength(body), Connection: "close" },
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () => {
          if (response.statusCode === 200) resolve(Buffer.concat(parts).toString("utf8"));
          else reject(new HttpStatusError(response.statusCode ?? 0));
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}
