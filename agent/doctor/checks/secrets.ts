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
            what: `${file} names ${env.path} as env_file, but that file does not exist.`,
            why: "Instances would start without their secrets, so the agent starts no release.",
            fix: `Make it with \`cutover env set ${app} NAME\`, or remove \`env_file\`.`,
          }),
        ];
      }
      const lines = env.faults.map(({ line, message }) =>
        warning("secrets", {
          what: `${env.path}:${line}: ${message}.`,
          why: `${app} does not get the value that the line seems to set, and nothing reports that.`,
          fix: "Correct the line, or set the variable with `cutover env set`, which checks what it writes.",
        }),
      );
      if ((env.entry.mode & 0o077) === 0) return lines;
      return [
        ...lines,
        error("secrets", {
          what: `${env.path} holds secrets, and others than its owner may read or change it (${described(env.entry)}).`,
          why: "Other users and apps of this host could read the passwords.",
          fix: `\`chmod 0600 ${env.path}\`. If others had access to this host, change the passwords too.`,
          // Elsewhere it could be a link by then, to a file that all must read.
          ...(env.rootsAlone && {
            mend: { what: `chmod 0600 ${env.path}`, writes: [], commands: [["chmod", "0600", env.path]] },
          }),
        }),
      ];
    }),
    ...strayEnvFiles.map((path) =>
      warning("secrets", {
        what: `${path} holds secrets of an app that this host does not have.`,
        why: "Nothing uses them, but somebody could steal them.",
        fix: "Remove the file, or add the app with `cutover app add`.",
      }),
    ),
  ];
}
