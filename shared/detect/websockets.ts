import { at } from "./findings.ts";
import type { Sources } from "./resolve.ts";

const packages = ["flask-socketio", "flask-sock", "flask-sockets", "python-socketio", "simple-websocket", "streamlit"];

/** Where a project's first WebSocket is: a handler, a route, or a library for them. */
export function firstWebSocket({ modules, clues, files }: Sources): string | undefined {
  for (const [file, module] of Object.entries(modules.scan.modules)) {
    // A client of another's WebSockets is none of the site's.
    if (module.websocket !== null && serves(Object.values(module.imports), files.read(file) ?? ""))
      return at(file, module.websocket);
  }
  const name = packages.find((each) => clues.names?.has(each));
  return name === undefined ? undefined : `${clues.where} (${name})`;
}

function serves(imports: string[], text: string): boolean {
  const library =
    /^(?:tornado$|tornado\.websocket|channels\.|fastapi|starlette|quart|litestar|sanic|falcon|aiohttp\.web|blacksheep|flask_socketio|flask_sock|socketio|geventwebsocket|django_eventstream)/;
  if (!imports.some((name) => library.test(name))) return false;
  return /@\w+\.websocket\b|WebSocketHandler|WebSocketResponse|WebsocketConsumer|WebSocket\b|add_websocket_route|websocket_route|SocketIO\(|Sock\(|URLRouter/.test(
    text,
  );
}
