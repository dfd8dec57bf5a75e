import { join } from "node:path";

/** The paths of embedded mode. Names are short: the path of a socket has at most 107 bytes. */
export function embeddedLayout(dir: string) {
  const etc = join(dir, "etc");
  const log = join(dir, "log");
  return {
    etc,
    agentSettings: join(etc, "agent.yml"),
    apps: join(etc, "apps"),
    data: join(dir, "data"),
    agentSocket: join(dir, "agent.sock"),
    log,
    temporary: join(dir, "tmp"),
    supervisor: {
      conf: join(etc, "supervisor", "supervisord.conf"),
      confDir: join(etc, "supervisor", "conf.d"),
      socket: join(dir, "supervisor.sock"),
      pidFile: join(dir, "supervisord.pid"),
      log: join(log, "supervisord.log"),
    },
    nginx: {
      conf: join(etc, "nginx", "nginx.conf"),
      confDir: join(etc, "nginx", "conf.d"),
      uwsgiParams: join(etc, "nginx", "uwsgi_params"),
      pidFile: join(dir, "nginx.pid"),
      log: join(log, "nginx-error.log"),
    },
  };
}

export type EmbeddedLayout = ReturnType<typeof embeddedLayout>;

/** The text of supervisord.conf. Only the owner can open its socket, and it has no inet server. */
export function renderSupervisordConf({ supervisor, log }: EmbeddedLayout, isRoot: boolean): string {
  return `; Written by cutover. Changes are lost.
[unix_http_server]
file=${supervisor.socket}
chmod=0700

[supervisord]
logfile=${supervisor.log}
logfile_maxbytes=10MB
logfile_backups=1
pidfile=${supervisor.pidFile}
childlogdir=${log}
directory=${log}
${isRoot ? "user=root\n" : ""}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://${supervisor.socket}

[include]
files = conf.d/*.conf
`;
}

/** The text of nginx.conf. Everything that nginx writes is in the directory, and the sites of the apps are included. */
export function renderNginxConf({ nginx, temporary }: EmbeddedLayout, isRoot: boolean): string {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `# Written by cutover. Changes are lost.
${isRoot ? "user root root;\n" : ""}worker_processes 2;
worker_rlimit_nofile 8192;
pid ${nginx.pidFile};
error_log ${nginx.log} warn;

events {
    worker_connections 4096;
}

http {
${paths.map((name) => `    ${name}_temp_path ${join(temporary, name)};`).join("\n")}
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    types {
${Object.entries(mimeTypes)
  .map(([type, extensions]) => `        ${type} ${extensions};`)
  .join("\n")}
    }
    include ${nginx.confDir}/*.conf;
}
`;
}

/** The text of uwsgi_params, a file of nginx's packages that a site with the uwsgi protocol includes. */
export function renderUwsgiParams(): string {
  return Object.entries(uwsgiParams)
    .map(([name, value]) => `uwsgi_param ${name} ${value};\n`)
    .join("");
}

const uwsgiParams = {
  QUERY_STRING: "$query_string",
  REQUEST_METHOD: "$request_method",
  CONTENT_TYPE: "$content_type",
  CONTENT_LENGTH: "$content_length",
  REQUEST_URI: "$request_uri",
  PATH_INFO: "$document_uri",
  DOCUMENT_ROOT: "$document_root",
  SERVER_PROTOCOL: "$server_protocol",
  REQUEST_SCHEME: "$scheme",
  HTTPS: "$https if_not_empty",
  REMOTE_ADDR: "$remote_addr",
  REMOTE_PORT: "$remote_port",
  SERVER_PORT: "$server_port",
  SERVER_NAME: "$server_name",
};

const mimeTypes = {
  "text/html": "html htm",
  "text/css": "css",
  "text/plain": "txt",
  "text/javascript": "js mjs",
  "text/xml": "xml",
  "application/json": "json map webmanifest",
  "application/pdf": "pdf",
  "application/wasm": "wasm",
  "application/zip": "zip",
  "audio/mpeg": "mp3",
  "font/woff": "woff",
  "font/woff2": "woff2",
  "font/ttf": "ttf",
  "font/otf": "otf",
  "image/avif": "avif",
  "image/gif": "gif",
  "image/jpeg": "jpg jpeg",
  "image/png": "png",
  "image/svg+xml": "svg",
  "image/webp": "webp",
  "image/x-icon": "ico",
  "video/mp4": "mp4",
  "video/webm": "webm",
};

export interface EmbeddedDefaults {
  listen: string;
  names: string[];
}

/** The text of the first agent.yml. The user may change it afterwards. */
export function renderAgentSettings(
  layout: EmbeddedLayout,
  { listen, names }: EmbeddedDefaults,
  nginx: { binary: string; group: string },
): string {
  return `# Written by cutover-agent --embedded, because there was none. You may change it.
listen: ${JSON.stringify(listen)}
names: ${JSON.stringify(names)}
data: ${JSON.stringify(layout.data)}
socket: ${JSON.stringify(layout.agentSocket)}
supervisor:
  socket: ${JSON.stringify(layout.supervisor.socket)}
  conf_dir: ${JSON.stringify(layout.supervisor.confDir)}
nginx:
  binary: ${JSON.stringify(nginx.binary)}
  conf_dir: ${JSON.stringify(layout.nginx.confDir)}
  conf: ${JSON.stringify(layout.nginx.conf)}
  log_dir: ${JSON.stringify(layout.log)}
  group: ${JSON.stringify(nginx.group)}
`;
}
