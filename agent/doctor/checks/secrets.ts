import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described } from "../permissions.ts";

export function secrets({ apps, strayEnvFiles }: HostFacts): Finding[] {
  return [
    ...apps.flatMap(({ app, file, env }): Finding[] => {
      if (env.entry === undefined) {
        if (!env.named) return [];
        return [
          error("secrets", {
            what: `${env.path} is not there, and ${file} names it as env_file.`,
            why: "Instances would start without their secrets, so no release is started.",
            fix: `Make it with \`cutover env set ${app} NAME\`, or take \`env_file\` out.`,
          }),
        ];
      }
      const lines = env.faults.map(({ line, message }) =>
        warning("secrets", {
          what: `${env.path}:${line}: ${message}.`,
          why: `${app} does not get what the line seems to give it, and nothing fails.`,
          fix: "Correct the line, or set the variable with `cutover env set`, which reads back what it writes.",
        }),
      );
      if ((env.entry.mode & 0o077) === 0) return lines;
      return [
        ...lines,
        error("secrets", {
          what: `${env.path} holds secrets, and others than its owner may use it (${described(env.entry)}).`,
          why: "Every user and every app of this host could read the passwords.",
          fix: `\`chmod 0600 ${env.path}\`; if others were here, change the passwords too.`,
        }),
      ];
    }),
    ...strayEnvFiles.map((path) =>
      warning("secrets", {
        what: `${path} holds secrets of an app that this host does not have.`,
        why: "Nobody uses them, and they can still be stolen.",
        fix: "Remove the file, or add the app with `cutover app add`.",
      }),
    ),
  ];
}
