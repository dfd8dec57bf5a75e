import { describe, expect, test } from "vitest";
import { writtenPaths } from "../../../shared/detect/written-files.ts";
import { projectOf } from "./project.ts";

const names = (...all: string[]) => new Set(all);

/** What Python files write, and what `shared` gets for it. */
const python: [name: string, files: Record<string, string>, paths: string[], names?: Set<string>][] = [
  [
    "the shape of Flask's tutorial",
    {
      "flaskr/__init__.py":
        "import os\nfrom flask import Flask\n\ndef create_app():\n    app = Flask(__name__, instance_relative_config=True)\n    app.config.from_mapping(DATABASE=os.path.join(app.instance_path, 'flaskr.sqlite'))\n    return app\n",
    },
    ["instance/"],
  ],
  [
    "an address next to the file that has it",
    {
      "config.py":
        "import os\nbasedir = os.path.abspath(os.path.dirname(__file__))\nclass Config:\n    SQLALCHEMY_DATABASE_URI = os.environ.get('DATABASE_URL') or 'sqlite:///' + os.path.join(basedir, 'app.db')\n",
    },
    ["app.db"],
  ],
  [
    "Flask-SQLAlchemy's own folder",
    { "app.py": "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///todo.db'\n" },
    ["instance/"],
    names("flask", "flask-sqlalchemy"),
  ],
  [
    "an engine of SQLAlchemy where the site runs",
    {
      "api/db.py":
        "from sqlalchemy import create_engine\nURL = 'sqlite:///./sql_app.db'\nengine = create_engine(URL)\n",
    },
    ["sql_app.db"],
  ],
  [
    "an asynchronous engine",
    { "db.py": "engine = create_async_engine('sqlite+aiosqlite:///data/site.db?timeout=5')\n" },
    ["data/site.db"],
  ],
  ["sqlite3 itself", { "main.py": "import sqlite3\ndb = sqlite3.connect('notes.db')\n" }, ["notes.db"]],
  ["a database in memory", { "main.py": "import sqlite3\ndb = sqlite3.connect(':memory:')\n" }, []],
  ["peewee", { "models.py": "from peewee import *\ndb = SqliteDatabase('people.db')\n" }, ["people.db"]],
  [
    "a path of another module",
    {
      "conf.py": "from pathlib import Path\nBASE = Path(__file__).resolve().parent\n",
      "main.py": "import sqlite3\nfrom conf import BASE\ndb = sqlite3.connect(BASE / 'var' / 'x.sqlite')\n",
    },
    ["var/x.sqlite"],
  ],
  [
    "logs, with their folder",
    {
      "main.py":
        "import logging\nfrom logging.handlers import RotatingFileHandler\nlogging.basicConfig(filename='site.log')\nhandler = RotatingFileHandler('logs/more.log', maxBytes=10)\n",
    },
    ["site.log", "logs/"],
  ],
  ["loguru", { "main.py": "from loguru import logger\nlogger.add('log/{time}.log')\n" }, ["log/"]],
  [
    "uploads",
    {
      "shop/__init__.py": "import os\napp.config['UPLOAD_FOLDER'] = os.path.join(app.root_path, 'static', 'uploads')\n",
    },
    ["shop/static/uploads/"],
  ],
  ["uploads into a folder of code", { "shop/a.py": "x = 1\n", "main.py": "UPLOAD_FOLDER = 'shop'\n" }, []],
  ["a place outside of the project", { "main.py": "UPLOAD_FOLDER = '/srv/uploads'\nX = 'sqlite:////var/x.db'\n" }, []],
  ["a database of tests", { "tests/db.py": "import sqlite3\ndb = sqlite3.connect('t.db')\n" }, []],
  [
    "a test's database of the settings",
    {
      "config.py":
        "import os\nbase = os.path.dirname(__file__)\nA = 'sqlite:///' + os.path.join(base, 'data-test.sqlite')\nB = 'sqlite:///data.sqlite'\n",
    },
    ["data.sqlite"],
  ],
  [
    "what lies in a folder that is shared as a whole",
    { "main.py": "UPLOAD_FOLDER = 'data'\nimport sqlite3\ndb = sqlite3.connect('data/x.db')\n" },
    ["data/"],
  ],
];

test.each(python)("%s", (_, files, paths, packages = names()) => {
  expect(writtenPaths(projectOf(files), packages, undefined).map(({ path }) => path)).toEqual(paths);
});

describe("Django's settings", () => {
  const base =
    "from pathlib import Path\nBASE_DIR = Path(__file__).resolve().parent.parent\nINSTALLED_APPS = []\nMEDIA_URL = 'files/'\n";
  const cases: [name: string, text: string, paths: object[]][] = [
    [
      "as startproject has them",
      "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'db.sqlite3'}}\n",
      [{ path: "db.sqlite3" }],
    ],
    [
      "an address",
      "import dj_database_url\nDATABASES = {'default': dj_database_url.config(default=f'sqlite:///{BASE_DIR}/site.db')}\n",
      [{ path: "site.db" }],
    ],
    [
      "the shared directory of the host, also with a default for elsewhere",
      "import os\nDATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.path.join(os.environ.get('CUTOVER_SHARED', BASE_DIR), 'db.sqlite3')}, 'other': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.environ.get('CUTOVER_SHARED', '.') + '/other.sqlite3'}}\n",
      [],
    ],
    ["uploads", "import os\nMEDIA_ROOT = os.path.join(BASE_DIR, 'media')\n", [{ path: "media/", url: "/files/" }]],
    ["uploads among collected files", "MEDIA_ROOT = BASE_DIR / 'static' / 'media'\n", []],
    [
      "logs",
      "LOGGING = {'handlers': {'file': {'class': 'logging.FileHandler', 'filename': BASE_DIR / 'logs' / 'x.log'}, 'console': {}}}\n",
      [{ path: "logs/" }],
    ],
  ];
  test.each(cases)("%s", (_, text, paths) => {
    const project = projectOf({ "site/settings.py": base + text });
    const settings = project.djangoSettings?.("", "site.settings");
    expect(writtenPaths(project, undefined, settings, ["static"])).toMatchObject(paths);
    expect(writtenPaths(project, undefined, settings, ["static"])).toHaveLength(paths.length);
  });
});
