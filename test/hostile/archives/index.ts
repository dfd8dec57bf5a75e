import type { HostileArchive } from "./archive.ts";
import { fields } from "./fields.ts";
import { manifests } from "./manifests.ts";
import { order } from "./order.ts";
import { streams } from "./streams.ts";
import { types } from "./types.ts";

/** By what is wrong with them. */
export const archives: Record<string, HostileArchive[]> = { types, fields, order, manifests, streams };
