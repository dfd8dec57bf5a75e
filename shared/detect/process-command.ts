import type { Step } from "./command-line.ts";
import type { FoundProcess } from "./findings.ts";

type Known = Omit<FoundProcess, "name" | "why" | "command"> & { name: string; command?: string };

/** Long enough for most jobs, and told in the comment of what is written. */
const jobs = "10m";

/** Workers and schedulers that are known by their program. */
function known({ program, args }: Step): Known | undefined {
  const words = [program, ...args];
  const has = (word: string) => args.includes(word);
  switch (program) {
    case "celery": {
      if (has("beat") || (has("worker") && has("-B"))) return { name: "beat", overlap: false };
      if (has("worker"))
        return { name: "worker", stopTimeout: jobs, ...(!hostname(args) && { command: named(words) }) };
      return has("flower") ? { name: "flower" } : undefined;
    }
    case "rq":
    case "rqworker":
      return program === "rqworker" || has("worker") || has("worker-pool")
        ? { name: "worker", stopTimeout: jobs }
        : undefined;
    case "rqscheduler":
      return { name: "scheduler", overlap: false };
    case "huey_consumer":
    case "huey_consumer.py":
    case "huey.bin.huey_consumer":
      // INT lets it finish its jobs, TERM does not.
      return { name: "huey", overlap: false, stopSignal: "INT", stopTimeout: jobs };
    case "dramatiq":
      return { name: "worker", stopTimeout: jobs };
    case "periodiq":
      return { name: "scheduler", overlap: false };
    case "arq":
    case "saq":
      return { name: "worker", stopTimeout: jobs };
    case "taskiq":
      if (has("scheduler")) return { name: "scheduler", overlap: false };
      return has("worker") ? { name: "worker", stopTimeout: jobs } : undefined;
    case "procrastinate":
      return has("worker") ? { name: "worker", stopTimeout: jobs } : undefined;
    case "python":
      return args[0]?.endsWith("manage.py") ? ofManage(args[1] ?? "") : undefined;
    default:
      return undefined;
  }
}

function ofManage(command: string): Known | undefined {
  switch (command) {
    case "qcluster":
      // It asks its workers to finish at INT and TERM, and schedules too.
      return { name: "qcluster", overlap: false, stopTimeout: jobs };
    case "run_huey":
    case "djangohuey":
      return { name: "huey", overlap: false, stopSignal: "INT", stopTimeout: jobs };
    case "rqworker":
    case "rundramatiq":
    case "db_worker":
    case "procrastinate":
    case "process_tasks":
      return { name: "worker", stopTimeout: jobs };
    case "runworker":
      return { name: "channels" };
    case "rqscheduler":
    case "runapscheduler":
    case "runscheduler":
    case "scheduler":
    case "startscheduler":
      return { name: "scheduler", overlap: false };
    default:
      return undefined;
  }
}

const hostname = (args: string[]) => args.some((word) => /^(?:-n|--hostname)(?:=|$)/.test(word));

/** Two workers at once, as in a hand-over, need two names. */
function named(words: string[]): string {
  return `${joined(words)} --hostname {instance}-{run}@%h`;
}

/** A command line of words: those with spaces and the like in quotes. */
export function joined(words: string[]): string {
  return words.map((word) => (/^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word}'`)).join(" ");
}

/**
 * The worker or scheduler that a command starts.
 * @param given the name that a Procfile or a compose file gives it; any command under one counts
 */
export function processOf(step: Step, why: string, given?: string): FoundProcess | undefined {
  const found = known(step);
  if (found === undefined && given === undefined) return undefined;
  const { name, command, ...rest } = found ?? { name: given ?? "" };
  const python = step.program.includes(".") && !/\.(?:py|sh)$/.test(step.program) ? ["python", "-m"] : [];
  const line = command ?? joined([...python, step.program, ...step.args]);
  const env = Object.entries(step.env).map(([key, value]) => `${key}=${value}`);
  return {
    name: processNameOf(given ?? name),
    command: env.length === 0 ? line : `env ${joined(env)} ${line}`,
    ...(scheduler.test(given ?? "") && { overlap: false as const }),
    ...rest,
    why,
  };
}

const scheduler = /beat|sched|clock|cron/i;

/** As `processes` in cutover.yml takes it. */
function processNameOf(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "")
    .slice(0, 32);
  return plain === "" || plain === "web" ? "worker" : plain;
}

const prepares = [
  /^python \S*manage\.py migrate\b/,
  /^(?:python -m )?alembic upgrade\b/,
  /^(?:python -m )?flask db upgrade\b/,
  /^django-admin migrate\b/,
  /^(?:aerich|piccolo migrations) upgrade\b|^tortoise upgrade\b/,
];

/** The command line of a step that prepares the database, as `release.command` takes it. */
export function preparationOf({ program, args }: Step): string | undefined {
  const line = joined([program, ...args]);
  return prepares.some((pattern) => pattern.test(line)) ? line : undefined;
}
