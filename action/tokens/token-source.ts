import type { Audience } from "../../shared/audience.ts";

/**
 * Where tokens come from: GitHub, or a key. A token is asked for when it is needed and not before, since one of
 * GitHub's lives five minutes.
 */
export interface TokenSource {
  /** A token for one call on one host. @throws CutoverError */
  token(audience: Audience): Promise<string>;
}
