/** How an application is spoken to. `aiohttp`: web.run_app; `own`: the framework listens by itself. */
export type Speaks = "wsgi" | "asgi" | "aiohttp" | "own";

export interface Framework {
  /** As people call it. */
  name: string;
  speaks: Speaks;
  /** Names of it among the requirements, normalised. */
  packages: string[];
  /** What makes an application: dotted names. */
  makes: string[];
}

/** In the order in which they are asked for: what wraps others comes first. */
export const frameworks: Framework[] = [
  {
    name: "Django",
    speaks: "asgi",
    packages: ["channels"],
    makes: ["django.core.asgi.get_asgi_application", "channels.routing.ProtocolTypeRouter"],
  },
  {
    name: "Django",
    speaks: "wsgi",
    packages: ["django"],
    makes: ["django.core.wsgi.get_wsgi_application", "django.core.handlers.wsgi.WSGIHandler"],
  },
  {
    name: "FastAPI",
    speaks: "asgi",
    packages: ["fastapi", "fastapi-slim"],
    makes: ["fastapi.FastAPI", "fastapi.applications.FastAPI"],
  },
  { name: "Quart", speaks: "asgi", packages: ["quart"], makes: ["quart.Quart", "quart.app.Quart"] },
  {
    name: "Litestar",
    speaks: "asgi",
    packages: ["litestar", "starlite"],
    makes: ["litestar.Litestar", "litestar.app.Litestar", "starlite.Starlite", "starlite.app.Starlite"],
  },
  { name: "Sanic", speaks: "asgi", packages: ["sanic"], makes: ["sanic.Sanic", "sanic.app.Sanic"] },
  {
    name: "BlackSheep",
    speaks: "asgi",
    packages: ["blacksheep"],
    makes: ["blacksheep.Application", "blacksheep.server.Application", "blacksheep.server.application.Application"],
  },
  { name: "Falcon", speaks: "asgi", packages: [], makes: ["falcon.asgi.App", "falcon.asgi.app.App"] },
  { name: "Socket.IO", speaks: "asgi", packages: [], makes: ["socketio.ASGIApp", "engineio.ASGIApp"] },
  { name: "Connexion", speaks: "asgi", packages: [], makes: ["connexion.AsyncApp"] },
  { name: "Responder", speaks: "asgi", packages: ["responder"], makes: ["responder.API"] },
  { name: "Emmett", speaks: "asgi", packages: ["emmett"], makes: ["emmett.App"] },
  { name: "Reflex", speaks: "asgi", packages: [], makes: ["reflex.App"] },
  {
    name: "ASGI",
    speaks: "asgi",
    packages: ["asgiref"],
    makes: ["asgiref.wsgi.WsgiToAsgi", "a2wsgi.WSGIMiddleware", "a2wsgi.wsgi.WSGIMiddleware", "asgi"],
  },
  { name: "Starlette", speaks: "asgi", packages: ["starlette"], makes: ["starlette.applications.Starlette"] },
  {
    name: "Dash",
    speaks: "wsgi",
    packages: ["dash"],
    makes: ["dash.Dash", "dash.dash.Dash", "dash_extensions.enrich.DashProxy"],
  },
  {
    name: "Flask",
    speaks: "wsgi",
    packages: ["flask"],
    makes: [
      "flask.Flask",
      "flask.app.Flask",
      "flask_openapi3.OpenAPI",
      "apiflask.APIFlask",
      "connexion.App",
      "connexion.FlaskApp",
    ],
  },
  {
    name: "Bottle",
    speaks: "wsgi",
    packages: ["bottle"],
    makes: ["bottle.Bottle", "bottle.app", "bottle.default_app"],
  },
  { name: "Falcon", speaks: "wsgi", packages: ["falcon"], makes: ["falcon.App", "falcon.API", "falcon.app.App"] },
  { name: "Pyramid", speaks: "wsgi", packages: ["pyramid"], makes: ["?.make_wsgi_app"] },
  {
    name: "CherryPy",
    speaks: "wsgi",
    packages: ["cherrypy"],
    makes: ["cherrypy.Application", "cherrypy.tree.mount", "cherrypy.tree", "cherrypy.tree.graft"],
  },
  { name: "web.py", speaks: "wsgi", packages: ["web-py"], makes: ["?.wsgifunc"] },
  { name: "webapp2", speaks: "wsgi", packages: ["webapp2"], makes: ["webapp2.WSGIApplication"] },
  { name: "Hug", speaks: "wsgi", packages: ["hug"], makes: [] },
  {
    name: "WSGI",
    speaks: "wsgi",
    packages: ["werkzeug", "webob", "whitenoise"],
    makes: [
      "wsgi",
      "whitenoise.WhiteNoise",
      "a2wsgi.ASGIMiddleware",
      "werkzeug.middleware.dispatcher.DispatcherMiddleware",
      "werkzeug.middleware.proxy_fix.ProxyFix",
      "tornado.wsgi.WSGIAdapter",
      "paste.deploy.loadapp",
      "pyramid.paster.get_app",
      "socketio.WSGIApp",
      "socketio.Middleware",
    ],
  },
  {
    name: "aiohttp",
    speaks: "aiohttp",
    packages: ["aiohttp"],
    makes: ["aiohttp.web.Application", "aiohttp.web_app.Application"],
  },
  { name: "Streamlit", speaks: "own", packages: ["streamlit"], makes: [] },
  { name: "Tornado", speaks: "own", packages: ["tornado"], makes: ["tornado.web.Application"] },
];

const byMaker = new Map(frameworks.flatMap((framework) => framework.makes.map((name) => [name, framework] as const)));

/** The framework whose application this dotted name makes. */
export function madeBy(name: string): Framework | undefined {
  return byMaker.get(name);
}

/** Which frameworks the requirements name. aiohttp and Tornado may be there as a client or a dependency alone. */
export function requiredFrameworks(names: ReadonlySet<string>): Framework[] {
  return frameworks.filter(({ packages }) => packages.some((name) => names.has(name)));
}
