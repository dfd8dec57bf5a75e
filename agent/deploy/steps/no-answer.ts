import type { Cause } from "../../../shared/causes/cause.ts";
import type { Config } from "../../../shared/config.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import { sentence, type Words } from "./exit-words.ts";

/** What is known of an instance that runs and has not answered its health check. */
export interface Unanswered {
  instance: string;
  answer: Extract<HealthAnswer, { kind: "unreachable" }>;
  path: string;
  /** `health.timeout`. */
  timeout: string;
  server: Config["server"];
  /** What its log says. */
  cause: Cause | undefined;
  /** Where else the run's processes listen. */
  strays: string[];
}

const longer = "If the app needs longer to start, raise `health.timeout`.";

/** Tells apart what listens elsewhere, is still starting, hangs, ends at each request, and listens nowhere. */
export function noAnswer(unanswered: Unanswered): Words {
  const { cause } = unanswered;
  const { message, fix } = wordsFor(unanswered);
  const why = cause === undefined ? "" : ` ${cause.line}`;
  return { message: sentence(`${message}${why}`), fix: cause?.fix ?? fix, frame: cause?.frame };
}

function wordsFor({ instance, answer, path, timeout, server, strays }: Unanswered): Words {
  const place = server.bind === "port" ? "port" : "socket";
  if (answer.how === "closed") {
    return {
      message: `${instance} closes the connection without an answer to GET ${path} (${answer.reason}).`,
      fix: server.kind === "aiohttp" ? noResponse : endsAtRequest,
    };
  }
  if (answer.how === "denied") {
    return {
      message: `${instance} listens on its socket, and does not let the agent in: most often the app has changed the socket's mode (0600, 0700).`,
      fix: "nginx could not open it either, so nothing is served. Take out of the app what changes the mode, for example with Tornado `bind_unix_socket(path, mode=0o666)`: the directory decides who gets in. If the app changes nothing, `cutover doctor` on the host names what is closed.",
    };
  }
  if (answer.how === "garbled") {
    return {
      message: `${instance} answers GET ${path}, but not in HTTP (${answer.reason}).`,
      fix: "cutover and nginx ask it by plain HTTP: let it speak that, without TLS, which nginx has. uWSGI speaks HTTP with `http-socket`; with `socket` set `server.protocol: uwsgi`.",
    };
  }
  if (strays.length > 0 && answer.how !== "silent") {
    return {
      message: `${instance} listens on ${strays.join(" and ")} instead of its ${place}, so it did not answer GET ${path} within ${timeout}.`,
      fix: `Let it listen where the command says: ${instead(server)}`,
    };
  }
  switch (answer.how) {
    case "waiting":
      return {
        message: `${instance} is still starting after ${timeout}: its ${place} is there, and nothing has accepted the connection of GET ${path}.`,
        fix: `Find what the import of the app waits for: a database, a download, a loop that does not end. ${longer}`,
      };
    case "silent":
      return {
        message: `${instance} accepted the connection and did not answer GET ${path} within ${timeout}.`,
        fix: `Find what its first request waits for: a database, a lock, another service. ${longer}`,
      };
    case "blocked":
      return {
        message: `No connection from this host to the port of ${instance} was made within ${timeout} (${answer.reason}).`,
        fix: "The instance is not to blame: a firewall of the host, or a loopback interface that is down, keeps 127.0.0.1 from itself. `ip link set lo up`, and let the firewall accept the interface lo. Or use `bind: socket`, which no firewall sees.",
      };
    case "absent":
      return {
        message: `${instance} runs, and after ${timeout} it listens neither on its ${place} nor on any port.`,
        fix: `A program that serves no HTTP belongs under \`processes\` in cutover.yml. ${longer}`,
      };
    default:
      return {
        message: `${instance} did not answer GET ${path} within ${timeout} (${answer.reason}).`,
        fix: `See that it listens where \`{socket}\` or \`{port}\` of its command says. ${longer}`,
      };
  }
}

const endsAtRequest = "Its worker ends at each request: read the app's log, which is with this message.";
const noResponse =
  "aiohttp does so if a handler returns no response: end it with `return web.Response(...)`. With `logging.basicConfig()` in the app its log says which one. Otherwise the program ends at each request, and its log says why.";

/** A server that cutover starts has its address already: then the app itself starts another server. */
function instead({ command, bind }: Config["server"]): string {
  const own =
    'take the call that runs a server (`app.run()`, `serve_forever()`) out of the module, or into an `if __name__ == "__main__":` block.';
  if (command === undefined) return own;
  return `pass on \`{${bind}}\` of \`server.command\` with the program's own option for it. A program that starts a server itself while it is imported: ${own}`;
}
