import { type Command, CommanderError } from "commander";
import { newCommand } from "../context.ts";
import { print, type Terminal } from "../terminal/terminal.ts";

/** A command with its words: the names of its subcommands and options. `path` begins with a space for each word. */
interface Words {
  path: string;
  words: string[];
}

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** `completion`: a script for a shell, made from the commands themselves. */
export function completionCommand(terminal: Terminal, program: () => Command): Command {
  const text = "print a script that completes command lines: for bash, zsh or fish";
  return newCommand("completion", text, "cutover completion bash > /etc/bash_completion.d/cutover")
    .argument("<shell>", Object.keys(shells).join(", "))
    .action((shell: string) => {
      if (!Object.hasOwn(shells, shell)) {
        throw new CommanderError(
          2,
          "commander.invalidArgument",
          `shell must be one of ${Object.keys(shells).join(", ")}.`,
        );
      }
      print(terminal, shells[shell as keyof typeof shells](program()));
    });
}

function wordsOf(command: Command, path = ""): Words[] {
  const children = command.commands.filter((child) => child.name() !== "help");
  const options = command.options.flatMap(({ short, long }) => [short, long].filter((each) => each != null));
  const own = { path, words: [...children.map((child) => child.name()), ...options, "--help"] };
  return [own, ...children.flatMap((child) => wordsOf(child, `${path} ${child.name()}`))];
}

/** Names of commands and options hold letters, digits and hyphens, so they need no quotes in any shell. */
const cases = (all: Words[], line: (words: Words) => string) => all.map(line).join("\n");
const paths = (all: Words[]) =>
  all
    .filter(({ path }) => path !== "")
    .map(({ path }) => `"${path}"`)
    .join("|");

function bashScript(program: Command): string {
  const all = wordsOf(program);
  return `_cutover() {
  local path="" word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in ${paths(all)}) path="$path $word" ;; esac
  done
  case "$path" in
${cases(all, ({ path, words }) => `    "${path}") words="${words.join(" ")}" ;;`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _cutover cutover
`;
}

function zshScript(program: Command): string {
  const all = wordsOf(program);
  return `#compdef cutover
_cutover() {
  local cmdpath="" word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$cmdpath $word" in ${paths(all)}) cmdpath="$cmdpath $word" ;; esac
  done
  case "$cmdpath" in
${cases(all, ({ path, words }) => `    "${path}") compadd -- ${words.join(" ")} ;;`)}
  esac
}
# From a directory of fpath, zsh runs this whole file as the function, at the first completion.
if [[ "\${funcstack[1]}" = _cutover ]]; then _cutover; else compdef _cutover cutover; fi
`;
}

function fishScript(program: Command): string {
  const all = wordsOf(program);
  return `function __cutover_path
  set -l path ""
  for word in (commandline -opc)[2..-1]
    switch "$path $word"
      case ${all
        .filter(({ path }) => path !== "")
        .map(({ path }) => `"${path}"`)
        .join(" ")}
        set path "$path $word"
    end
  end
  echo "$path"
end
complete -c cutover -f
${cases(all, ({ path, words }) => `complete -c cutover -n 'test (__cutover_path) = "${path}"' -a "${words.join(" ")}"`)}
`;
}
