import { z } from "zod";
import { command, plain, relativePath } from "./config-values.ts";
import { slotCount } from "./slots.ts";

/** Inside one instance. */
export const mostWorkers = 64;

export const serverKinds = [
  "gunicorn",
  "uwsgi",
  "tornado",
  "aiohttp",
  "uvicorn",
  "hypercorn",
  "daphne",
  "granian",
  "waitress",
  "command",
] as const;
export type ServerKind = (typeof serverKinds)[number];

/** What an instance speaks with nginx. */
export type Protocol = "http" | "uwsgi";

export const serverSchema = z
  .strictObject({
    kind: z.enum(serverKinds).meta({
      description: "What starts the instances: see [kinds of servers](#kinds-of-servers).",
      absent: "from the project",
    }),
    app: plain(255)
      .regex(/^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(.*\))?$/, "module:attribute, such as shop.wsgi:application")
      .optional()
      .meta({
        description: "The application, `module:attribute`, such as `shop.wsgi:application`.",
        absent: "from the project",
      }),
    command: command
      .optional()
      .describe(
        "For `tornado`, `aiohttp` and `command`: the command line, with `{socket}` or `{port}`, `{instance}`, `{workers}`, `{shared}`. It runs without a shell, and `python` is the release's own.",
      ),
    instances: z.int().min(1).max(slotCount).default(2).describe("How many instances run; they share the 60 slots."),
    workers: z
      .union([z.int().min(1).max(mostWorkers), z.literal("auto")])
      .optional()
      .meta({
        description:
          "Worker processes inside one instance of gunicorn, uwsgi, uvicorn, hypercorn or granian. `auto`: two for each core of the host.",
        absent: "what the server's own file says, else `2`",
      }),
    threads: z.int().min(1).max(128).optional().meta({
      description: "Threads inside one worker of gunicorn or uwsgi, or in an instance of waitress.",
      absent: "what the server's own file says, else `1`",
    }),
    config_file: relativePath.optional().meta({
      description:
        "For `gunicorn` and `uwsgi`: the server's own file in the project. See [the server's own file](#the-servers-own-file).",
      absent: "`gunicorn.conf.py`; for uwsgi `uwsgi.ini` or `uwsgi.yaml`",
    }),
    bind: z
      .enum(["socket", "port"])
      .default("socket")
      .describe("`socket` or `port`: see [sockets or ports](../agent/host/README.md#sockets-or-ports)."),
    interface: z
      .enum(["asgi", "wsgi", "rsgi"])
      .optional()
      .meta({ description: "For `granian`: what the application speaks.", absent: "`asgi`" }),
    protocol: z
      .enum(["http", "uwsgi"])
      .optional()
      .meta({ description: "What the instances speak with nginx.", absent: "`uwsgi` for kind uwsgi, else `http`" }),
  })
  .superRefine((server, context) => {
    for (const { path, message } of serverFaults(server)) context.addIssue({ code: "custom", path, message });
  });
export type Server = z.output<typeof serverSchema>;

/** How many workers an instance has on a host with so many cores, if the server's own file does not say. */
export function workersOf({ workers = 2 }: Pick<Server, "workers">, cores: number): number {
  return workers === "auto" ? Math.min(2 * cores, mostWorkers) : workers;
}

export function protocolOf({ kind, protocol }: Pick<Server, "kind" | "protocol">): Protocol {
  return protocol ?? (kind === "uwsgi" ? "uwsgi" : "http");
}

interface Fault {
  path: string[];
  message: string;
}

/** By which key each kind names its application. */
const takes = {
  gunicorn: { app: "needed", command: "refused" },
  uwsgi: { app: "needed", command: "refused" },
  uvicorn: { app: "needed", command: "refused" },
  hypercorn: { app: "needed", command: "refused" },
  daphne: { app: "needed", command: "refused" },
  granian: { app: "needed", command: "refused" },
  waitress: { app: "needed", command: "refused" },
  aiohttp: { app: "or command", command: "or app" },
  tornado: { app: "refused", command: "needed" },
  command: { app: "refused", command: "needed" },
} as const satisfies Record<ServerKind, { app: string; command: string }>;

const appExamples: Partial<Record<ServerKind, string>> = {
  gunicorn: "shop.wsgi:application",
  uwsgi: "shop.wsgi:application",
  uvicorn: "shop.asgi:application",
  hypercorn: "shop.asgi:application",
  daphne: "shop.asgi:application",
  granian: "shop.asgi:application",
  waitress: "shop.wsgi:application",
  aiohttp: "shop.main:make_app",
};

/** How a kind takes an application that a function makes, such as `shop:create_app()`. */
const calls: Partial<Record<ServerKind, "without arguments" | "never">> = {
  uvicorn: "without arguments",
  granian: "without arguments",
  waitress: "without arguments",
  daphne: "never",
};

function callFault({ kind, app = "" }: Server): string | undefined {
  const [, given] = /\((.*)\)$/.exec(app) ?? [];
  if (given === undefined) return undefined;
  if (calls[kind] === "never") return `${kind} calls no function; name the application itself`;
  if (calls[kind] === undefined || given.trim() === "") return undefined;
  return `${kind} calls a function only without arguments; gunicorn, uwsgi and hypercorn give them`;
}

const threaded: readonly ServerKind[] = ["gunicorn", "uwsgi", "waitress"];

/** What a kind cannot do. */
function capabilityFaults(server: Server): Fault[] {
  const { kind, threads, interface: spoken, protocol, config_file: file } = server;
  const faults: Fault[] = [];
  const fault = (path: string[], message: string) => faults.push({ path, message });
  const call = callFault(server);
  if (call !== undefined) fault(["app"], call);
  if (threads !== undefined && threads !== 1 && !threaded.includes(kind)) {
    fault(["threads"], `kind ${kind} has no threads; only gunicorn, uwsgi and waitress have`);
  }
  if (file !== undefined && kind !== "gunicorn" && kind !== "uwsgi") {
    fault(["config_file"], `kind ${kind} has no such file; only gunicorn and uwsgi have`);
  }
  if (spoken !== undefined && kind !== "granian") {
    fault(["interface"], `kind ${kind} speaks what it speaks; only granian is told`);
  }
  if (protocol === "uwsgi" && kind !== "uwsgi" && kind !== "command") {
    fault(["protocol"], `kind ${kind} speaks http; only uwsgi and command can speak uwsgi`);
  }
  return faults;
}

function serverFaults(server: Server): Fault[] {
  const { kind, app, command, bind } = server;
  const rule = takes[kind];
  const faults: Fault[] = [...capabilityFaults(server)];
  const fault = (path: string[], message: string) => faults.push({ path, message });
  if (rule.app === "needed" && app === undefined) {
    fault([], `kind ${kind} needs \`app\`, such as ${appExamples[kind]}`);
  }
  if (rule.command === "needed" && command === undefined) fault([], `kind ${kind} needs \`command\``);
  if (rule.app === "refused" && app !== undefined) fault(["app"], `kind ${kind} takes \`command\`, not \`app\``);
  if (rule.command === "refused" && command !== undefined)
    fault(["command"], `kind ${kind} takes \`app\`, not \`command\``);
  if (kind === "aiohttp" && (app === undefined) === (command === undefined)) {
    fault([], `kind aiohttp needs either \`app\`, such as ${appExamples.aiohttp}, or \`command\``);
  }
  if (command !== undefined) faults.push(...placeholderFaults(command, bind));
  return faults;
}

function placeholderFaults(command: string | string[], bind: Server["bind"]): Fault[] {
  const words = [command].flat();
  const holds = (name: string) => words.some((word) => word.includes(`{${name}}`));
  const [wanted, other] = bind === "socket" ? (["socket", "port"] as const) : (["port", "socket"] as const);
  if (holds(other)) {
    const message = `holds {${other}}, and the instances listen on a ${bind === "socket" ? "unix socket" : "port"}: write {${wanted}}, or \`bind: ${other}\``;
    return [{ path: ["command"], message }];
  }
  if (holds(wanted)) return [];
  const what = bind === "socket" ? "the path" : "the port";
  return [{ path: ["command"], message: `must contain {${wanted}}, ${what} that the instance listens on` }];
}
