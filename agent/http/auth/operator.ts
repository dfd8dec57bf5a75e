import { type Actor, operatorName } from "../../../shared/protocol.ts";

/**
 * Who calls on the admin socket. Whoever may open it may make every call, so the name is only for the audit log, and one that
 * is no name is left out.
 * @param said the header, as it came
 */
export function operatorActor(said: string | undefined): Actor {
  const { data } = operatorName.safeParse(said);
  return { subject: "local operator", ...(data !== undefined && { user: data }) };
}
