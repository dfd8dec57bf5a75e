/** Packages whose name on PyPI is another than that of the module which people import. */
const packages: Record<string, string> = {
  allauth: "django-allauth",
  bs4: "beautifulsoup4",
  corsheaders: "django-cors-headers",
  crispy_forms: "django-crispy-forms",
  cv2: "opencv-python-headless",
  dateutil: "python-dateutil",
  debug_toolbar: "django-debug-toolbar",
  decouple: "python-decouple",
  dj_database_url: "dj-database-url",
  django_celery_beat: "django-celery-beat",
  django_extensions: "django-extensions",
  django_filters: "django-filter",
  dotenv: "python-dotenv",
  environ: "django-environ",
  flask_cors: "Flask-Cors",
  flask_login: "Flask-Login",
  flask_migrate: "Flask-Migrate",
  flask_sqlalchemy: "Flask-SQLAlchemy",
  import_export: "django-import-export",
  jose: "python-jose",
  jwt: "PyJWT",
  magic: "python-magic",
  multipart: "python-multipart",
  MySQLdb: "mysqlclient",
  PIL: "Pillow",
  psycopg2: "psycopg2-binary",
  rest_framework: "djangorestframework",
  rest_framework_simplejwt: "djangorestframework-simplejwt",
  sentry_sdk: "sentry-sdk",
  sklearn: "scikit-learn",
  storages: "django-storages",
  uvicorn_worker: "uvicorn-worker",
  whitenoise: "whitenoise",
  yaml: "PyYAML",
};

/** The package that has a module, for a sentence. */
export function packageOf(module: string): string {
  const [top = ""] = module.split(".");
  return Object.hasOwn(packages, top) ? `${packages[top]}` : `the package that has ${module}`;
}
