/** One way to bring a change to a host, set up as its users set it up. */
export interface Tool extends AsyncDisposable {
  /** The working copy, which the caller changes between deploys. */
  readonly project: string;
  /** The site's address. */
  readonly url: string;
  /** What went over the network since the start, in both directions. */
  readonly bytes: number;
  /** The project's next state goes to the host. @throws Error with what the tool printed when it fails */
  deploy(): Promise<void>;
}

/** Opening includes the first deploy. @param write makes the project in a directory */
export type OpenTool = (write: (directory: string) => void) => Promise<Tool>;
