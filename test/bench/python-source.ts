/** The Python files of the generated project: like code that people write, in size and in what loading it costs. */

const nouns = ["order", "basket", "invoice", "parcel", "coupon", "review", "stock", "price", "account", "address"];

export interface ModuleOptions {
  name: string;
  /** Makes two modules differ. */
  number: number;
  /** Modules that it imports, dotted. */
  imports: string[];
  random: () => number;
}

/** A module with classes, tables and functions; loading it takes about a millisecond. */
export function moduleSource({ name, number, imports, random }: ModuleOptions): string {
  const parts = [
    `"""${title(name)}: generated, module ${number}."""\n`,
    "import re\nfrom dataclasses import dataclass, field\n",
    ...imports.map((module) => `import ${module}  # noqa: F401`),
    "",
    `NUMBER = ${number}`,
    `CODE = re.compile(r"^(?P<kind>[a-z]{2,${5 + (number % 7)}})-(?P<number>\\d{4,8})(?:/(?P<part>\\d+))?$")`,
    `RATES = {\n${Array.from({ length: 24 }, (_, index) => `    "${nouns[index % nouns.length]}-${index}": ${(random() * 100).toFixed(4)},`).join("\n")}\n}\n`,
  ];
  for (let index = 0; index < 2; index++) parts.push(classSource(`${title(name)}${index}`, number + index, random));
  return `${parts.join("\n")}\n`;
}

function classSource(name: string, number: number, random: () => number): string {
  const fields = Array.from(
    { length: 6 },
    (_, index) => `    ${nouns[(number + index) % nouns.length]}: int = ${Math.floor(random() * 1000)}`,
  );
  return `
@dataclass
class ${name}:
    """What is known of one ${nouns[number % nouns.length]}."""

${fields.join("\n")}
    notes: list = field(default_factory=list)

    def total(self, rate="order-0"):
        amount = sum(value for value in vars(self).values() if isinstance(value, int))
        return round(amount * RATES.get(rate, 1.0), 2)

    def parse(self, text):
        match = CODE.match(text)
        if match is None:
            raise ValueError(f"not a code: {text!r}")
        self.notes.append(match.groupdict())
        return int(match["number"]) + NUMBER

`;
}

function title(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function settingsSource(apps: string[]): string {
  return `import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("SECRET_KEY", "generated-for-measuring-only-0123456789-0123456789")
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.staticfiles",
${apps.map((app) => `    "${app}",`).join("\n")}
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "market.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "assets"]
USE_TZ = True
`;
}

export function urlsSource(apps: string[]): string {
  return `from django.urls import include, path

from market import views

urlpatterns = [
    path("", views.version),
    path("version", views.version),
    path("slow", views.slow),
    path("upload", views.upload),
${apps.map((app) => `    path("${app}/", include("${app}.urls")),`).join("\n")}
]
`;
}

/** The same answers as the sample shop's, so that the same load can run on it. */
export const viewsSource = `import hashlib
import os
import time

from django.http import HttpResponse

from market.version import VERSION

RELEASE = os.environ.get("CUTOVER_RELEASE", "-")


def text(body):
    return HttpResponse(f"{body}\\n", content_type="text/plain; charset=utf-8")


def version(request):
    return text(f"{VERSION} {os.getpid()} {RELEASE}")


def slow(request):
    time.sleep(max(0, min(int(request.GET.get("ms", "2000")), 30_000)) / 1000)
    return version(request)


def upload(request):
    body = request.read()
    return text(f"{len(body)} {hashlib.sha256(body).hexdigest()}")
`;

export const wsgiSource = `import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "market.settings")
application = get_wsgi_application()

import market.urls  # noqa: E402, F401
`;

export function appUrlsSource(app: string): string {
  return `from django.urls import path

from ${app} import views

urlpatterns = [path("", views.index)]
`;
}

export function appViewsSource(app: string, modules: string[]): string {
  return `from django.shortcuts import render

${modules.map((module) => `from ${app} import ${module}  # noqa: F401`).join("\n")}


def index(request):
    return render(request, "${app}/page_000.html", {"number": ${modules[0]}.NUMBER})
`;
}
