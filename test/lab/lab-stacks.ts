import type { Stack, StackOptions } from "../fixtures/stacks.ts";

/** One of the five deployments that people make by hand, as an app of a host. */
export interface LabStack {
  app: string;
  stack: Stack;
  /** Where its site listens. */
  port: number;
  /** More of what its owner says with `cutover app add`. */
  settings?: string[];
  /** What its own nginx and supervisor files say today, in words of cutover.yml. */
  config: NonNullable<StackOptions["config"]>;
}

/** All of them fit on one host: each has a port of its own, and nginx is one for all. */
export const labStacks: LabStack[] = [
  {
    ...{ app: "art", stack: "django-gunicorn", port: 8000, settings: ["--ports", "9000-9099"] },
    config: { site: { client_max_body_size: "50m", gzip: true, proxy_intercept_errors: true } },
  },
  {
    ...{ app: "mysite", stack: "django-uwsgi", port: 8001 },
    config: { site: { balance: "least_conn" } },
  },
  {
    ...{ app: "tornados", stack: "tornado", port: 8081, settings: ["--ports", "8020-8079"] },
    config: {},
  },
  {
    ...{ app: "gray", stack: "django-uwsgi", port: 10_001 },
    config: {
      site: {
        ...{ balance: "ip_hash", preview: { listen: 12_001 }, proxy_read_timeout: "360s" },
        add_header: { "Access-Control-Allow-Origin": "*" },
      },
      shared: [{ url: "/media/", from: "media" }],
    },
  },
  {
    ...{ app: "example", stack: "aiohttp", port: 8085 },
    config: { site: { client_max_body_size: "4g", proxy_buffering: false } },
  },
];

export function nameOf({ app }: LabStack): string {
  return `${app}.example.com`;
}
