import type { Step } from "./command-line.ts";
import type { FoundProcess } from "./findings.ts";

type Known = Omit<FoundProcess, "name" | "why" | "command"> & { name: string; command?: string };

/** Long enough for most jobs, and told in the comment of what is written. */
const jobs = "10m";

type Reader = (args: string[], words: string[]) => Known | undefined;

const worker: Known = { name: "worker", stopTimeout: jobs };
const scheduler: Known = { name: "scheduler", overlap: false };
// INT lets it finish its jobs, TERM does not.
const huey: Known = { name: "huey", overlap: false, stopSignal: "INT", stopTimeout: jobs };
const ifWorker: Reader = (args) => (args.includes("worker") || args.includes("worker-pool") ? worker : undefined);

/** Workers and schedulers that are known by their program. */
const programs: Record<string, Reader> = {
  celery,
  flower: (_, words) => page("flower", words, "--address"),
  rq: ifWorker,
  "rq-dashboard": (_, words) => page("rq-dashboard", words, "--bind"),
  rqworker: () => worker,
  rqscheduler: () => scheduler,
  huey_consumer: () => huey,
  "huey_consumer.py": () => huey,
  "huey.bin.huey_consumer": () => huey,
  dramatiq: () => worker,
  periodiq: () => scheduler,
  arq: () => worker,
  saq: () => worker,
  taskiq: (args) => (args.includes("scheduler") ? scheduler : ifWorker(args, [])),
  procrastinate: ifWorker,
  python: ([script, command = ""]) => (script?.endsWith("manage.py") ? managed[command] : undefined),
};

/** Commands of Django's manage.py. */
const managed: Record<string, Known> = {
  // It asks its workers to finish at INT and TERM, and schedules too.
  qcluster: { name: "qcluster", overlap: false, stopTimeout: jobs },
  run_huey: huey,
  djangohuey: huey,
  rqworker: worker,
  rundramatiq: worker,
  db_worker: worker,
  procrastinate: worker,
  process_tasks: worker,
  runworker: { name: "channels" },
  rqscheduler: scheduler,
  runapscheduler: scheduler,
  runscheduler: scheduler,
  scheduler,
  startscheduler: scheduler,
};

function celery(args: string[], given: string[]): Known | undefined {
  const words = withoutFiles(given);
  const has = (word: string) => args.includes(word);
  if (has("beat")) return { name: "beat", overlap: false, command: outside(words) };
  if (has("worker") && (has("-B") || has("--beat"))) return { name: "beat", overlap: false, command: outside(words) };
  if (has("worker")) return { ...worker, ...(!hostname(args) && { command: named(words) }) };
  return has("flower") ? page("flower", words, "--address") : undefined;
}

/** A page that watches workers. It listens on a port of its own, so two at once cannot start, and anybody could read it. */
function page(name: string, words: string[], address: string): Known {
  // No shell fills in $PORT, which is the site's own in a Procfile.
  const own = words.filter(
    (word, index) => !/\$/.test(word) && !(/^-{1,2}[\w-]+$/.test(word) && /^\$/.test(words[index + 1] ?? "")),
  );
  const isGiven = own.some((word) => word === address || word.startsWith(`${address}=`));
  return { name, overlap: false, command: joined([...own, ...(isGiven ? [] : [`${address}=127.0.0.1`])]) };
}

/** supervisor keeps the log, and a release is read-only. */
function withoutFiles(words: string[]): string[] {
  const files = /^(?:-f|--logfile|--pidfile|--detach|-D)(?:=|$)/;
  return words.filter(
    (word, index) => !files.test(word) && !/^(?:-f|--logfile|--pidfile)$/.test(words[index - 1] ?? ""),
  );
}

/** beat keeps its schedule, and older ones a pid, in files where it runs, and a release is read-only. */
function outside(words: string[]): string {
  const has = (option: RegExp) => words.some((word) => option.test(word));
  const schedule = has(/^(?:-s|--schedule|-S|--scheduler)(?:=|$)/)
    ? []
    : ["--schedule", "{shared}/celerybeat-schedule"];
  return joined([...words, ...schedule, ...(has(/^--pidfile/) ? [] : ["--pidfile="])]);
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
  // Only a developer changes what is running.
  const args = step.args.filter((word) => word !== "--reload");
  const found = programs[step.program]?.(args, [step.program, ...args]);
  if (found === undefined && given === undefined) return undefined;
  const { name, command, ...rest } = found ?? { name: given ?? "" };
  const python = step.program.includes(".") && !/\.(?:py|sh)$/.test(step.program) ? ["python", "-m"] : [];
  const plain = command ?? joined([...python, step.program, ...args]);
  const env = Object.entries(step.env).map(([key, value]) => `${key}=${value}`);
  const line = withVariables(env.length === 0 ? plain : `env ${joined(env)} ${plain}`);
  return {
    name: processNameOf(given ?? name),
    command: line,
    ...(schedules.test(given ?? "") && { overlap: false as const }),
    ...rest,
    why,
  };
}

/** No shell runs a command, so one is asked for where a word has a variable of the host's. */
function withVariables(line: string): string {
  const open = line.replace(/'([^']*\$\{?[A-Za-z_][^']*)'/g, '"$1"');
  return open === line || open.includes("'") ? line : `sh -c 'exec ${open}'`;
}

const schedules = /beat|sched|clock|cron/i;

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

/** Another file has another line for it: two beats would do everything twice. */
function isAgain(one: FoundProcess, other: FoundProcess): boolean {
  const part = ({ command }: FoundProcess) => /\bcelery\b.* (beat|worker|flower)\b/.exec(command)?.[1];
  const file = ({ why }: FoundProcess) => why.replace(/:\d.*$/, "");
  return part(one) !== undefined && part(one) === part(other) && file(one) !== file(other);
}

/** Each worker once, also if several files tell of it. */
export function distinctProcesses(processes: FoundProcess[]): FoundProcess[] {
  const program = ({ command }: FoundProcess) =>
    command.replace(/^env (?:\S+=\S+ )*/, "").replace(/ --hostname .*/, "");
  const found: FoundProcess[] = [];
  for (const each of processes) {
    // The same worker, told in another file.
    if (found.some((other) => program(other) === program(each) || other.name === each.name || isAgain(other, each)))
      continue;
    found.push(each);
  }
  return found.slice(0, 16);
}
