import { expect, test } from "vitest";
import { detectKind } from "../../../shared/detect/detect.ts";
import { projectOf } from "./project.ts";

/** Tools that are served by a program of their own. */

const pyproject = (...dependencies: string[]) =>
  `[project]\nname = "shelf"\nversion = "1"\ndependencies = ${JSON.stringify(dependencies)}\n[project.scripts]\nshelf = "shelf.cli:main"\n`;

const argparse = [
  "import argparse",
  "from wsgiref.simple_server import make_server",
  "from shelf.site import Site",
  "def main():",
  "    parser = argparse.ArgumentParser()",
  "    commands = parser.add_subparsers()",
  '    send = commands.add_parser("send")',
  '    send.add_argument("--port")',
  '    send.add_argument("where")',
  '    serve = commands.add_parser("serve")',
  '    serve.add_argument("--host", default="127.0.0.1")',
  '    serve.add_argument("--port", type=int, default=8000)',
  "    given = parser.parse_args()",
  "    make_server(given.host, given.port, Site()).serve_forever()",
  "",
].join("\n");
const site = "class Site:\n    def __init__(self, folder=None):\n        self.folder = folder\n";

const click = [
  "import click",
  "import uvicorn",
  "@click.group()",
  "def main(): pass",
  "@main.command()",
  '@click.option("-h", "--host", default="0.0.0.0")',
  '@click.option("-p", "--port", default=8001)',
  "def serve(host, port):",
  "    from shelf.site import build",
  "    uvicorn.run(build(1), host=host, port=port)",
  "@main.command()",
  '@click.option("--tag")',
  "def pack(tag): pass",
  "",
].join("\n");

const flaskTool = [
  "import optparse",
  "from flask import Flask",
  "app = Flask(__name__)",
  "def main():",
  "    parser = optparse.OptionParser()",
  '    parser.add_option("-p", "--port", type="int")',
  "    options, rest = parser.parse_args()",
  '    app.config["FILE"] = rest[0]',
  "    app.run(port=options.port)",
  "",
].join("\n");

test.each([
  [
    "argparse with commands",
    {
      "pyproject.toml": pyproject("webob"),
      "shelf/__init__.py": "",
      "shelf/cli.py": argparse,
      "shelf/site.py": site,
    },
    "python -c 'from shelf.cli import main; main()' serve --host=127.0.0.1 --port={port}",
  ],
  [
    "click, run as a package below src",
    {
      "pyproject.toml": pyproject("click", "uvicorn"),
      "src/shelf/__init__.py": "",
      "src/shelf/__main__.py": "from shelf.cli import main\nmain()\n",
      "src/shelf/cli.py": click,
      "src/shelf/site.py": "def build(shelves):\n    async def app(scope, receive, send): ...\n    return app\n",
    },
    "python -m shelf serve --host=127.0.0.1 --port={port}",
  ],
  [
    "typer with one command, of Poetry",
    {
      "pyproject.toml":
        '[tool.poetry]\nname = "shelf"\nversion = "1"\n[tool.poetry.dependencies]\nuvicorn = "*"\ntyper = "*"\n[tool.poetry.scripts]\nshelf = "shelf.cli:cli"\n',
      "shelf/__init__.py": "",
      "shelf/cli.py":
        'import typer\nimport uvicorn\ncli = typer.Typer()\n@cli.command()\ndef main(bind_address: str = "::", port: int = 80):\n    uvicorn.run("x:y", port=port)\n@cli.command()\ndef index(folder: str = "."): ...\nif __name__ == "__main__":\n    cli()\n',
    },
    "python -m shelf.cli main --bind-address=127.0.0.1 --port={port}",
  ],
  [
    "a command of another program, in setup.py, with Tornado's options",
    {
      "setup.py":
        'from setuptools import setup\nsetup(install_requires=["tornado"],\n  entry_points={\n    "celery.commands": [\n      "lamp = lamp.command:lamp",\n    ]})\n',
      "lamp/__init__.py": "",
      "lamp/__main__.py": "from celery.bin.celery import main\nmain()\n",
      "lamp/command.py": "from lamp.app import Lamp\nfrom lamp.options import ready\ndef lamp():\n    Lamp().start()\n",
      "lamp/options.py":
        'from tornado.options import define\ndefine("port", default=5000)\ndefine("address")\nready = True\n',
      "lamp/app.py":
        "import tornado.web\nfrom tornado.options import options\nclass Lamp(tornado.web.Application):\n    def start(self):\n        self.listen(options.port)\n",
    },
    "python -m lamp lamp --address=127.0.0.1 --port={port}",
  ],
  [
    "a Dockerfile that starts it with addresses of its own",
    {
      Dockerfile:
        'FROM python:3\nENTRYPOINT ["/app/bin/python", "/app/bin/shelf"]\nCMD ["--hosts", "0.0.0.0:5232,[::]:5232", "--quiet"]\n',
      "pyproject.toml": pyproject("webob"),
      "shelf/__init__.py": "def application(environ, start_response): ...\n",
      "shelf/cli.py": "import wsgiref.simple_server\ndef main(): ...\n",
    },
    "python -c 'from shelf.cli import main; main()' --quiet --hosts=127.0.0.1:{port}",
  ],
])("a program of the project's own that serves: %s", (_, files, command) => {
  expect(detectKind(projectOf(files))).toMatchObject({
    found: true,
    server: { kind: "command", command, bind: "port" },
  });
});

test("the host of a port of another name has that name too", () => {
  const command = argparse
    .replace('"--port", type', '"--web-port", type')
    .replace("    given =", '    serve.add_argument("--web-host")\n    given =');
  const files = { "pyproject.toml": pyproject("webob"), "shelf/__init__.py": "", "shelf/cli.py": command };
  expect(detectKind(projectOf(files))).toMatchObject({
    server: { command: expect.stringMatching(/ serve --web-host=127\.0\.0\.1 --web-port=\{port\}$/) },
  });
});

test("an application in the file whose command line takes the port is a question", () => {
  const files = {
    "pyproject.toml": pyproject("flask"),
    "shelf/__init__.py": "",
    "shelf/cli.py": flaskTool,
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    found: false,
    candidates: [
      { kind: "gunicorn", app: "shelf.cli:app" },
      { kind: "command", command: "python -c 'from shelf.cli import main; main()' --port={port}" },
    ],
  });
});

test("a program that takes no port leaves the application as it is", () => {
  const files = {
    "pyproject.toml": pyproject("flask", "gunicorn"),
    "shelf/__init__.py": "",
    "shelf/wsgi.py": "from flask import Flask\napplication = Flask(__name__)\n",
    "shelf/cli.py":
      'import click\nfrom shelf.wsgi import application\n@click.command()\n@click.option("--name")\ndef main(name): ...\n',
  };
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server: { app: "shelf.wsgi:application" } });
});

test("a command that needs more than a port is told, and not chosen", () => {
  const needing = argparse.replace("    given =", '    serve.add_argument("folder")\n    given =');
  const files = { "pyproject.toml": pyproject("webob"), "shelf/__init__.py": "", "shelf/cli.py": needing };
  const found = detectKind(projectOf(files));
  expect(found).toMatchObject({ found: false, candidates: [{ kind: "command" }] });
  if (!found.found) expect(found.candidates[0]?.caution).toContain("`folder`");
});

test("a path in the README's line is its writer's", () => {
  const files = {
    "README.md": "    gunicorn 'shelf:app(root=\"/home/ada/shelf\")'\n",
    "pyproject.toml": pyproject("bottle"),
    "shelf/__init__.py": "import bottle\ndef app(**kwargs):\n    return bottle.Bottle()\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server: { app: "shelf:app()" } });
});
