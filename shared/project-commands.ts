import { argv } from "./command.ts";
import type { Config } from "./config.ts";
import type { ProjectFiles } from "./project-clues.ts";
import { isShellWord } from "./startable-program.ts";
import type { YamlPath } from "./yaml-faults.ts";

/** What cannot work about the commands of cutover.yml: no shell reads them, and they name files of the project. */

type Command = string | string[];

interface CommandFault {
  path: YamlPath;
  message: string;
}

export function commandFaults(config: Config, project: ProjectFiles): CommandFault[] {
  return commandsOf(config).flatMap(([path, command]) => {
    const message = shellFault(command) ?? missingScript(command, project);
    return message === undefined ? [] : [{ path, message }];
  });
}

function commandsOf({ server, release, static: folders, processes }: Config): [YamlPath, Command][] {
  const given: [YamlPath, Command | undefined][] = [
    [["server", "command"], server.command],
    [["release", "command"], release?.command],
    ...folders.map(({ collect }, index): [YamlPath, typeof collect] => [["static", index, "collect"], collect]),
    ...Object.entries(processes).map(([name, { command }]): [YamlPath, Command] => [
      ["processes", name, "command"],
      command,
    ]),
  ];
  return given.filter((pair): pair is [YamlPath, Command] => pair[1] !== undefined);
}

/** Words between which a shell would start several programs, or send their output elsewhere. */
const operator = /^(?:&&|&|\|\||\|&?|;|\d?>>?(?:&\d)?|&>|<)$|.;$/;

function shellFault(command: Command): string | undefined {
  const [first = ""] = argv(command);
  const variable = /^([A-Za-z_]\w*)=/.exec(first)?.[1];
  if (variable !== undefined) {
    return `no shell runs this, and ${first} would set a variable in a shell: write ${variable} into \`env\` of cutover.yml`;
  }
  if (isShellWord(first)) return `no shell runs this, and ${first} is a word of a shell: write it as \`sh -c '...'\``;
  // A list is taken as it is, and so is what stands in quotes.
  if (typeof command !== "string") return undefined;
  const word = command
    .replace(/'[^']*'|"[^"]*"/g, "''")
    .split(/\s+/)
    .find((each) => operator.test(each));
  if (word === undefined) return undefined;
  if (word === "&") return "ends with &, and what supervisor starts must stay in the foreground: take it away";
  return `no shell runs this, and ${word} is a word of a shell: write it as \`sh -c '...'\`, or as a list if the program itself wants that word`;
}

/** The file of the project that a command starts with Python. */
function missingScript(command: Command, project: ProjectFiles): string | undefined {
  const [program = "", script = ""] = argv(command);
  const own = /^python[\d.]*$/.test(program) && /^[^-{/][^{]*\.py$/.test(script);
  return own && !project.exists(script) ? `the project has no ${script}` : undefined;
}
