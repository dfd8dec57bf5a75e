import type { z } from "zod";

/** One call of the HTTP interface: what it takes and what it gives. */
export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Each part that varies has a name after a colon. */
  readonly path: `/${string}`;
  /**
   * Who may call: anyone, whoever has a token for it, or a local operator, whose calls exist on the admin socket alone.
   * On the admin socket no call needs a token.
   */
  readonly who: "anyone" | "token" | "operator";
  /** Without it the query is not looked at. */
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject | "bundle";
  /** JSON, unless it is undefined (204 without a body) or a string (plain text). */
  readonly answer: z.ZodType;
  /** The answer is a stream, with one such value on each line. */
  readonly stream?: true;
}

/** The values for the names in a call's path. */
export type PathNames<C extends Call> = Record<NameIn<C["path"]>, string>;
type NameIn<Path extends string> = Path extends `${infer Start}/${infer Rest}`
  ? NameIn<Start> | NameIn<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : never;

/** What a caller may give in the query: typed values, of which each may be left to its default. */
export type QueryOf<C extends Call> = C extends { query: z.ZodObject }
  ? { [Key in keyof z.output<C["query"]>]?: z.output<C["query"]>[Key] | undefined }
  : Record<never, never>;

/** What a caller gives as the body. */
export type BodyOf<C extends Call> = C extends { body: z.ZodObject } ? z.input<C["body"]> : undefined;

/** The path and query of one request. Every value is escaped; a query value that is undefined is left out. */
export function pathOf<C extends Call>(call: C, names: PathNames<C>, query?: QueryOf<C>): string {
  const values: Record<string, string> = names;
  const path = call.path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) given.set(name, String(value));
  return given.size === 0 ? path : `${path}?${given}`;
}
