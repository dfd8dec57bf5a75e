/** What may be intended, and probably is not. */
export interface Warning {
  message: string;
  /** The file that it is about, relative to the project; cutover.yml unless given. */
  file?: string;
  line?: number;
  column?: number;
}

/** What visitors would notice. */
export interface Noticed extends Warning {
  /** The hosts' own environment may say otherwise: the setting is read from there. */
  unsure?: true;
}
