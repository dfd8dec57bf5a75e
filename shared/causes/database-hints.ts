import type { Hint } from "./hint.ts";

const migrate =
  "Apply the migrations at each deploy: write `release: {command: python manage.py migrate --noinput}` into cutover.yml. If it is there, a migration is missing: run `python manage.py makemigrations`, commit and push.";
const address = "See `cutover env list {app}` and `env` in cutover.yml.";

/** Of PostgreSQL, MySQL, SQLite and Redis, by way of their Python libraries. */
export const databaseHints: Hint[] = [
  {
    id: "libpq",
    pattern: /no pq wrapper available/,
    fix: "psycopg finds no libpq: write psycopg[binary] into the requirements, or install libpq5 on the host.",
    example: "ImportError: no pq wrapper available.",
  },
  {
    id: "database-password",
    pattern: /password authentication failed for user "([^"]+)"|Access denied for user '([^']+)'|no password supplied/,
    fix: "The database does not take this user's password: set the right one with `cutover env set {app} NAME`, where NAME is the variable that the settings read (often DATABASE_URL).",
    example:
      'OperationalError: connection to server at "127.0.0.1", port 54329 failed: FATAL:  password authentication failed for user "shop"',
  },
  {
    id: "database-missing",
    pattern: /database "([^"]+)" does not exist|Unknown database '([^']+)'/,
    fix: `Create the database {1} there, or correct its name. ${address}`,
    example:
      'OperationalError: connection to server at "127.0.0.1", port 54329 failed: FATAL:  database "shoop" does not exist',
  },
  {
    id: "database-no-host",
    pattern: /connection to server on socket "([^"]+)" failed/,
    fix: `The settings name no database host, so a socket of this machine is tried: set the host. ${address}`,
    example:
      'OperationalError: connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: No such file or directory',
  },
  {
    id: "database-tls",
    pattern: /server does not support SSL|no pg_hba\.conf entry for host/,
    fix: `The database wants another kind of connection: correct \`sslmode\` in its address, or allow this host in its pg_hba.conf. ${address}`,
    example:
      'OperationalError: connection to server at "127.0.0.1", port 54329 failed: server does not support SSL, but SSL was required',
  },
  {
    id: "database-connections",
    pattern: /too many connections|too many clients|remaining connection slots/i,
    fix: "Old and new instances run together during a deploy: raise the database's limit of connections, or lower `server.instances`, `server.workers` or CONN_MAX_AGE.",
    example:
      'OperationalError: connection to server at "127.0.0.1", port 54329 failed: FATAL:  too many connections for role "shop"',
  },
  {
    id: "database-permission",
    pattern: /permission denied for (?:table|schema|sequence|relation|database) (\S+)/,
    fix: "The app's database user lacks rights on {1}: GRANT them as the database's owner. Since PostgreSQL 15 a new user may not make tables in the schema public.",
    example: "InsufficientPrivilege: permission denied for schema public",
  },
  {
    id: "table-exists",
    pattern: /relation "([^"]+)" already exists|table "?([\w.]+)"? already exists|Table '([^']+)' already exists/,
    fix: "The database has {1} already, and does not know of its migration. If {1} is what the migration would make, let `release.command` be `python manage.py migrate --noinput --fake-initial` for this one deploy; for a later migration run `migrate --fake APP NUMBER` in the same way.",
    example: 'DuplicateTable: relation "item" already exists',
  },
  {
    id: "pending-migrations",
    pattern:
      /no such table: (\S+)|relation "([^"]+)" does not exist|Table '([^']+)' doesn't exist|no such column: (\S+)|column "?([\w.]+)"? does not exist|Unknown column '([^']+)'/,
    fix: migrate,
    example: "OperationalError: no such table: auth_user",
  },
  {
    id: "integrity",
    pattern: /^(?:IntegrityError|NotNullViolation|UniqueViolation|ForeignKeyViolation|CheckViolation): /,
    fix: "The rows do not fit what {place} asks for. In a migration: give the column a default, or repair the rows in a migration before this one, and try both on a copy of the live data.",
    example: "IntegrityError: NOT NULL constraint failed: t.a",
  },
  {
    id: "sqlite-locked",
    pattern: /database is locked/,
    fix: "Several processes write to one SQLite file: set `OPTIONS: {timeout: 20}` in DATABASES, lower `server.workers`, or use a database server.",
    example: "OperationalError: database is locked",
  },
  {
    id: "database-unreachable",
    pattern:
      /OperationalError.*(?:onnection refused|could not connect|Can't connect|could not translate host name|onnection timed out|timeout expired)/,
    fix: "Start the database, or correct its address: see `cutover env list {app}` and `env` in cutover.yml. The host must reach it.",
    example: 'OperationalError: connection to server at "127.0.0.1", port 9 failed: Connection refused',
  },
  {
    id: "redis-password",
    pattern: /AuthenticationError: |WRONGPASS|NOAUTH/,
    fix: `Redis does not take the password: correct its address, such as redis://:PASSWORD@host:6379/0. ${address}`,
    example: "ResponseError: WRONGPASS invalid username-password pair or user is disabled.",
  },
  {
    id: "alembic-revision",
    pattern: /Can't locate revision identified by '([^']+)'/,
    fix: "The database is at migration {1}, which this release does not have: commit that migration, or deploy a release that has it.",
    example: "FAILED: Can't locate revision identified by 'abc123'",
  },
  {
    id: "alembic-heads",
    pattern: /Multiple head revisions are present/,
    fix: "Two migrations follow the same one: run `alembic merge heads` (with Flask `flask db merge heads`), commit and push.",
    example:
      "FAILED: Multiple head revisions are present for given argument 'head'; please specify a specific target revision, '<branchname>@head' to narrow to a specific head, or 'heads' for all heads",
  },
];
