import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { HealthRequest } from "../../contracts/ports.ts";

/** What nginx's uwsgi_params say about the request of a visitor who came by HTTPS. */
export function uwsgiVariables({ path, host }: Pick<HealthRequest, "path" | "host">, userAgent: string) {
  const [, pathInfo = "", query = ""] = /^([^?]*)\??(.*)$/s.exec(path) ?? [];
  return {
    REQUEST_METHOD: "GET",
    REQUEST_URI: path,
    PATH_INFO: decoded(pathInfo),
    QUERY_STRING: query,
    CONTENT_TYPE: "",
    CONTENT_LENGTH: "",
    SERVER_PROTOCOL: "HTTP/1.1",
    REQUEST_SCHEME: "https",
    HTTPS: "on",
    // uWSGI makes wsgi.url_scheme from it.
    UWSGI_SCHEME: "https",
    SERVER_NAME: host.replace(/:\d+$/, ""),
    SERVER_PORT: "443",
    REMOTE_ADDR: "127.0.0.1",
    REMOTE_PORT: "0",
    HTTP_HOST: host,
    HTTP_USER_AGENT: userAgent,
    HTTP_ACCEPT: "*/*",
    HTTP_X_FORWARDED_PROTO: "https",
  };
}

/**
 * A request in the uwsgi protocol: modifier1 0 (Python), the size of what follows, modifier2 0; then each name and each
 * value after its length. Numbers have two bytes, the lower one first. Each character of a value is one byte.
 */
export function uwsgiPacket(variables: Record<string, string>): Buffer {
  const texts = Object.entries(variables)
    .flat()
    .map((text) => Buffer.from(text, "latin1"));
  const body = Buffer.concat(texts.flatMap((text) => [length(text.length), text]));
  return Buffer.concat([Buffer.from([0]), length(body.length), Buffer.from([0]), body]);
}

function length(bytes: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(bytes);
  return buffer;
}

/** Decodes %xx to bytes, as a server does before the application sees a path. */
function decoded(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/**
 * Lets Node's HTTP client talk to a server that speaks uwsgi. It sends the packet instead of the client's own request, and
 * passes on the answer, which is HTTP.
 */
export class UwsgiExchange extends Duplex {
  readonly #socket: Socket;

  constructor(socket: Socket, packet: Buffer) {
    super();
    this.#socket = socket;
    socket.on("data", (part: Buffer) => {
      if (!this.push(part)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.write(packet);
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(_part: Buffer, _encoding: string, done: () => void): void {
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
