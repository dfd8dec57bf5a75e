import { plain } from "./values.ts";

/** The directories of a host that a site names. */
export interface Places {
  /** The app's directory on the host. */
  home: string;
  /** Where the site's logs are. */
  logDir: string;
}

/** The variables of an app's site, each by one word, so that no two apps ever have the same. */
export function names(app: string) {
  return {
    app,
    /** The Connection header for the instance. */
    connection: variable(app, "conn"),
    /** 1 while the site is closed for maintenance to this visitor. */
    closed: variable(app, "shut"),
    /** The upstream of this visitor, where a cookie or a header chooses it. */
    upstream: variable(app, "to"),
    /** The same by the header alone, where a cookie may choose too. */
    header: variable(app, "via"),
    /** The link to the release whose static files come first. */
    release: variable(app, "files"),
  };
}

export type Names = ReturnType<typeof names>;

/**
 * The name of a variable that belongs to one app. A word has no underscore and a name of an app neither, so two apps never
 * have the same variable. A word has at most five letters: nginx's table of variables takes 46 in all.
 */
function variable(app: string, word: string): `$${string}` {
  return `$cutover_${plain(app).replaceAll("-", "_")}_${word}`;
}
