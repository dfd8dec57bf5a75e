import type { HostFacts } from "../facts.ts";
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
      if ((env.entry.mode & 0o077) === 0) return [];
      return [
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
