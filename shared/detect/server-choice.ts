import type { ServerKind } from "../config-server.ts";
import type { Candidate } from "./findings.ts";
import type { Speaks } from "./frameworks.ts";

export interface ServerClues {
  /** What the project needs, normalised; undefined if it says so nowhere. */
  names: ReadonlySet<string> | undefined;
  /** What the requirements file that is installed has; undefined if there is none. */
  installed?: ReadonlySet<string> | undefined;
  /** Where it says so, in a person's words. */
  where: string;
  /** The release sees the distribution's packages. */
  systemPackages: boolean;
  /** It has WebSockets, which a plain uvicorn cannot do. */
  websockets: boolean;
}

type Server = Pick<Candidate, "kind" | "why"> & Pick<Partial<Candidate>, "extra" | "threads" | "interface">;

/** Packages that bring a server with them. */
const brings: Record<string, ServerKind> = {
  uwsgi: "uwsgi",
  pyuwsgi: "uwsgi",
  "fastapi[standard]": "uvicorn",
  "fastapi[all]": "uvicorn",
  "fastapi-cli": "uvicorn",
  "litestar[standard]": "uvicorn",
  "channels[daphne]": "daphne",
  gunicorn: "gunicorn",
  uvicorn: "uvicorn",
  "uvicorn-worker": "uvicorn",
  hypercorn: "hypercorn",
  daphne: "daphne",
  granian: "granian",
  waitress: "waitress",
};

const wsgiKinds: ServerKind[] = ["gunicorn", "uwsgi", "waitress", "granian"];
const asgiKinds: ServerKind[] = ["uvicorn", "daphne", "hypercorn", "granian"];

/** Whether what is installed brings a server of this kind. */
export function hasServer(kind: ServerKind, { names: all, installed, systemPackages }: ServerClues): boolean {
  const names = installed ?? all;
  if (kind === "command" || kind === "tornado" || kind === "aiohttp") return true;
  if (systemPackages) return true;
  return Object.entries(brings).some(([name, brought]) => brought === kind && names?.has(name));
}

/** The servers that fit an application: those that the project brings, or else the usual one, which is added. */
export function serversFor(speaks: Speaks, app: string, clues: ServerClues): Server[] {
  if (speaks !== "wsgi" && speaks !== "asgi") return [];
  const kinds = (speaks === "wsgi" ? wsgiKinds : asgiKinds).filter((kind) => fits(kind, app, speaks));
  const { names, where } = clues;
  const there = kinds.filter((kind) => hasServer(kind, { ...clues, installed: undefined, systemPackages: false }));
  // gunicorn and uWSGI are a choice that somebody made; the others come along with frameworks and tools.
  const chosen = there.filter((kind) => kind === "gunicorn" || kind === "uwsgi");
  const named = chosen.length > 0 ? chosen : there.slice(0, 1);
  if (named.length > 0) return named.map((kind) => ({ ...shaped(kind, speaks), why: [`${where} has ${kind}`] }));
  const [usual = "gunicorn"] = kinds;
  if (clues.systemPackages) return [{ ...shaped(usual, speaks), why: ["the distribution's packages have one"] }];
  const extra = [usual === "uvicorn" && clues.websockets ? "uvicorn[standard]" : usual];
  const why = names === undefined ? "no requirements name a server" : `${where} names no server`;
  return [{ ...shaped(usual, speaks), extra, why: [why] }];
}

function fits(kind: ServerKind, app: string, speaks: Speaks): boolean {
  if (!app.endsWith(")")) return true;
  return kind !== "daphne" && !(kind === "granian" && speaks === "asgi" && /\([^)]/.test(app));
}

/** What a kind needs to be told for it. */
function shaped(kind: ServerKind, speaks: Speaks): Omit<Server, "why"> {
  if (kind === "waitress") return { kind, threads: 4 };
  return kind === "granian" && speaks === "wsgi" ? { kind, interface: "wsgi" } : { kind };
}
