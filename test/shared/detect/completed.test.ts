import { expect, test } from "vitest";
import { detectKind } from "../../../shared/detect/detect.ts";
import { projectOf } from "./project.ts";
import { flask } from "./texts.ts";

const blueprint = "from flask import Blueprint\nshop = Blueprint('shop', __name__)\n";

test.each<[string, Record<string, string>, object]>([
  [
    "a script at the top",
    {
      "shop/__init__.py": flask,
      "shop/pages.py": blueprint,
      "run.py":
        "from shop import app\nfrom shop.pages import shop\napp.register_blueprint(shop)\nif __name__ == '__main__':\n    app.run()\n",
    },
    { kind: "gunicorn", app: "run:app" },
  ],
  [
    "a function elsewhere that returns it",
    {
      "shop/__init__.py": "",
      "shop/base.py": "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n",
      "shop/whole/__init__.py": "",
      "shop/whole/site.py":
        "from shop.base import create_app\ndef create_site():\n    made = create_app()\n    made.register_blueprint(x)\n    return made\n",
    },
    { kind: "gunicorn", app: "shop.whole.site:create_site()" },
  ],
  [
    "the main function of the project's own program",
    {
      "shop.py": "from cps.main import main\nif __name__ == '__main__':\n    main()\n",
      "cps/__init__.py": `import os\n${flask}port = os.environ.get("SHOP_PORT", 80)\ndef create_app():\n    return app\n`,
      "cps/main.py":
        "from cps import create_app\n\ndef main():\n    app = create_app()\n    app.register_blueprint(x)\n    app.run()\n",
    },
    { kind: "command", command: "env SHOP_PORT={port} python shop.py", bind: "port" },
  ],
  [
    "its own views, which it imports at its end",
    {
      "shop/__init__.py": `${flask}from shop import views\n`,
      "shop/views.py": "from shop import app\nfrom shop.pages import shop\napp.register_blueprint(shop)\n",
      "shop/pages.py": blueprint,
    },
    { kind: "gunicorn", app: "shop:app" },
  ],
])("an application that is completed by %s", (_, files, server) => {
  expect(detectKind(projectOf({ ...files, "requirements.txt": "flask\ngunicorn\n" }))).toMatchObject({
    found: true,
    server,
  });
});

test("an application that only a program completes, which is told no port, is not served without what is missing", () => {
  const files = {
    "cps/__init__.py": flask,
    "cps/main.py": "from cps import app as made\n\ndef main():\n    app = get(made)\n    app.run()\n",
    "cps/site.py": "from cps import make\n",
    "requirements.txt": "flask\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server: { app: "cps:app" } });
  const main =
    "from cps import create\n\ndef main():\n    app = create()\n    app.register_blueprint(x)\n    app.run()\n";
  const made = { ...files, "cps/__init__.py": `${flask}def create():\n    return app\n`, "cps/main.py": main };
  const [{ caution } = {}] = (detectKind(projectOf(made)) as { candidates: { caution?: string }[] }).candidates;
  expect(caution).toMatch(/^cps\/main\.py:5 adds to it what a server that imports it alone would miss/);
});
