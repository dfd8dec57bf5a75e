import { readPlainFile } from "../../host/ownership/owner-file.ts";
import type { AgentSettings } from "../../settings.ts";
import type { Webhook } from "../../settings-values.ts";
import type { AppFacts, WebhookFileFacts } from "./facts.ts";
import { entryOf } from "./paths.ts";

/** The files from which webhooks get their address and their secret. */
export async function webhookFileFacts(settings: AgentSettings, apps: AppFacts[]): Promise<WebhookFileFacts[]> {
  const all = [
    ...namedFiles(settings.webhooks, "agent.yml"),
    ...apps.flatMap(({ app, settings }) => namedFiles(settings?.webhooks ?? [], `apps/${app}.yml`)),
  ];
  return Promise.all(all.map(async (file) => ({ ...file, ...(await look(file.path)) })));
}

function namedFiles(webhooks: Webhook[], file: string): { named: string; path: string }[] {
  return webhooks.flatMap((webhook, index) =>
    (["url_file", "secret_file"] as const).flatMap((key) => {
      const path = webhook[key];
      return path === undefined ? [] : [{ named: `webhooks[${index}].${key} in ${file}`, path }];
    }),
  );
}

async function look(path: string): Promise<Pick<WebhookFileFacts, "problem" | "entry">> {
  const entry = await entryOf(path);
  try {
    const text = await readPlainFile(path);
    return { entry, problem: text.trim() === "" ? "is empty" : undefined };
  } catch (thrown) {
    return { entry, problem: `cannot be read: ${(thrown as NodeJS.ErrnoException).code}` };
  }
}
