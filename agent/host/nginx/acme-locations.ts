import { acmeUrl } from "./acme-url.ts";
import { block, quoted } from "./values.ts";
import { type Access, openAccess } from "./visits.ts";

/** The webroots of a site, in the order in which nginx looks. */
export interface ChallengeDirectories {
  /** That of another client. */
  acmeChallenge: string | undefined;
  /** Where the agent puts its answers, with `tls: auto`. */
  ownChallenges?: string;
}

/** ACME challenges come over plain HTTP, even if everything else is redirected to https. */
export function acmeLocations(access: Access, { acmeChallenge, ownChallenges }: ChallengeDirectories): string[] {
  const location = (head: string, directory: string, otherwise: string, more: string[] = []) => [
    "",
    ...block(head, [
      `root ${quoted(directory)};`,
      ...more,
      ...openAccess(access),
      "default_type text/plain;",
      `try_files $uri ${otherwise};`,
    ]),
  ];
  const first = `location ^~ ${quoted(acmeUrl)}`;
  // An app's user may write there: a link leads only to what its owner has, and not to what nginx's group may read.
  const theirs = (directory: string, otherwise: string) =>
    location(first, directory, otherwise, [`disable_symlinks if_not_owner ${quoted(`from=${directory}`)};`]);
  if (ownChallenges === undefined) return acmeChallenge === undefined ? [] : theirs(acmeChallenge, "=404");
  // The agent writes there, so nginx follows no link.
  const own = (head: string) =>
    location(head, ownChallenges, "=404", [`disable_symlinks on ${quoted(`from=${ownChallenges}`)};`]);
  if (acmeChallenge === undefined) return own(first);
  return [...theirs(acmeChallenge, "@cutover_acme"), ...own("location @cutover_acme")];
}
