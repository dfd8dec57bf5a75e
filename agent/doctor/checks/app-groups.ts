import { ownGroupCommand, sharedGroup } from "../../host/ownership/own-group.ts";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

/** An app's launch files, which hold its secrets, can be read by the primary group of its user. */
export function appGroups({ apps, ownGroup }: HostFacts): Finding[] {
  // An agent without root and without a helper runs all apps as its own user.
  if (ownGroup === "not root") return [];
  return apps.flatMap(({ app, file, user, group }) => {
    if (user === undefined || user.uid === 0 || group === undefined || group.members.length === 0) return [];
    return [
      error("app-groups", {
        what: `${sharedGroup(user.name, group.name, group.members)} (${file}).`,
        why: "So a deploy, a redeploy and a rollback of the app are refused. The live release goes on serving.",
        fix: `\`${ownGroupCommand(user.name)}\`, then \`cutover redeploy ${app}\`.`,
      }),
    ];
  });
}
