import { expect, test } from "vitest";
import { detectKind } from "../../../shared/detect/detect.ts";
import { projectOf } from "./project.ts";
import { fastapi, flask, type Row } from "./texts.ts";

const asgi = { "requirements.txt": "fastapi\nuvicorn\n" };
const wsgi = { "requirements.txt": "flask\ngunicorn\nwhitenoise\n" };
const api = fastapi.replace(/\w+ = FastAPI/, "api = FastAPI");

/** Applications that others contain. Each inner one has the more usual name, or place. */
const nested: Row[] = [
  [
    "mounted in one of the same file",
    {
      "main.py": 'from fastapi import FastAPI\n\napp = FastAPI()\nroot = FastAPI()\nroot.mount("/v1", app)\n',
      ...asgi,
    },
    { kind: "uvicorn", app: "main:root" },
  ],
  [
    "mounted by another file, as a keyword",
    {
      "app.py": api,
      "site1/main.py": 'from fastapi import FastAPI\nimport app\n\nroot = FastAPI()\nroot.mount("/v1", app=app.api)\n',
      "site1/__init__.py": "",
      ...asgi,
    },
    { kind: "uvicorn", app: "site1.main:root" },
  ],
  [
    "mounted in a list of routes",
    {
      "app.py": api,
      "serve.py":
        'from starlette.applications import Starlette\nfrom starlette.routing import Mount\nfrom app import api\n\nrouter = Starlette(routes=[Mount("/x", app=api)])\n',
      ...asgi,
    },
    { kind: "uvicorn", app: "serve:router" },
  ],
  [
    "mounted in a function, and made by one",
    {
      "api.py": "from fastapi import FastAPI\n\ndef create_app():\n    return FastAPI()\n",
      "serve.py":
        'from fastapi import FastAPI\nfrom api import create_app\n\ndef create_server():\n    root = FastAPI()\n    root.mount("/v1", create_app())\n    return root\n',
      ...asgi,
    },
    { kind: "uvicorn", app: "serve:create_server()" },
  ],
  [
    "wrapped by middleware of ASGI",
    {
      "main.py":
        "from fastapi import FastAPI\nfrom starlette.middleware.cors import CORSMiddleware\n\napp = FastAPI()\nwrapped = CORSMiddleware(app=app, allow_origins=['*'])\n",
      ...asgi,
    },
    { kind: "uvicorn", app: "main:wrapped" },
  ],
  [
    "wrapped by WhiteNoise in another file",
    {
      "app.py": flask,
      "serve.py": "from whitenoise import WhiteNoise\nfrom app import app\n\nsite = WhiteNoise(app)\n",
      ...wsgi,
    },
    { kind: "gunicorn", app: "serve:site" },
  ],
  [
    "given to DispatcherMiddleware, by itself and in a map",
    {
      "shop.py": flask,
      "blog.py": flask,
      "serve.py":
        'from werkzeug.middleware.dispatcher import DispatcherMiddleware\nfrom shop import app as shop\nfrom blog import app as blog\n\nboth = DispatcherMiddleware(shop, {"/b": blog})\n',
      ...wsgi,
    },
    { kind: "gunicorn", app: "serve:both" },
  ],
  [
    "wrapped by a class of the project's own",
    {
      "app.py": flask,
      "prefix.py":
        "class Prefixed:\n    def __init__(self, inner):\n        self.inner = inner\n    def __call__(self, environ, start_response):\n        return self.inner(environ, start_response)\n",
      "serve.py": "from prefix import Prefixed\nfrom app import app\n\nsite = Prefixed(app)\n",
      ...wsgi,
    },
    { kind: "gunicorn", app: "serve:site" },
  ],
  [
    "with Socket.IO around it",
    {
      "main.py":
        "import socketio\nfrom fastapi import FastAPI\n\napp = FastAPI()\nsio = socketio.AsyncServer(async_mode='asgi')\nsio_app = socketio.ASGIApp(sio, other_asgi_app=app)\n",
      ...asgi,
    },
    { kind: "uvicorn", app: "main:sio_app" },
  ],
  [
    "a sub-application of aiohttp",
    {
      "admin.py": "from aiohttp import web\n\napp = web.Application()\n",
      "serve.py":
        'from aiohttp import web\nfrom admin import app as admin\n\nroot = web.Application()\nroot.add_subapp("/admin/", admin)\n',
      "requirements.txt": "aiohttp\n",
    },
    { kind: "aiohttp", app: "serve:root" },
  ],
];

test.each(nested)("the outermost application counts: %s", (_, files, server) => {
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server });
});

const flat: Row[] = [
  [
    "middleware that takes its name",
    { "main.py": `${flask}from werkzeug.middleware.proxy_fix import ProxyFix\napp = ProxyFix(app)\n`, ...wsgi },
    { kind: "gunicorn", app: "main:app" },
  ],
  [
    "an extension that takes it",
    { "main.py": `${flask}from x import Htmx\nhtmx = Htmx(app)\n`, ...wsgi },
    { kind: "gunicorn", app: "main:app" },
  ],
  [
    "an adapter for another platform",
    {
      "main.py": "from fastapi import FastAPI\nfrom mangum import Mangum\n\napp = FastAPI()\nhandler = Mangum(app)\n",
      ...asgi,
    },
    { kind: "uvicorn", app: "main:app" },
  ],
  [
    "static files that are mounted",
    {
      "main.py":
        'from fastapi import FastAPI\nfrom fastapi.staticfiles import StaticFiles\n\nfiles = StaticFiles()\napp = FastAPI()\napp.mount("/static", files)\n',
      ...asgi,
    },
    { kind: "uvicorn", app: "main:app" },
  ],
];

test.each(flat)("the application stays the application with %s", (_, files, server) => {
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server });
});

test("applications that contain each other are both candidates", () => {
  const files = {
    "a.py": "from fastapi import FastAPI\nimport b\n\napp = FastAPI()\napp.mount('/b', b.app)\n",
    "b.py": "from fastapi import FastAPI\nimport a\n\napp = FastAPI()\napp.mount('/a', a.app)\n",
    ...asgi,
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    found: false,
    candidates: [{ app: "a:app" }, { app: "b:app" }],
  });
});
