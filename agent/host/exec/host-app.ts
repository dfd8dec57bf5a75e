import type { AppSettings } from "../../settings.ts";
import type { AppUser } from "../ownership/users.ts";
import type { AppLayout } from "../store/layout.ts";

/** An app as this side of the border knows it: from the host's own files. */
export interface HostApp {
  layout: AppLayout;
  settings: AppSettings;
  user: AppUser;
}
