import type { Time } from "../runner/time.ts";

/** While other hosts still stage, a host must not take another deployment. Asking for its own one renews its lease. */
export class Lease {
  readonly #time: Time;
  #stop = () => {};

  constructor(time: Time) {
    this.#time = time;
  }

  /** @param renew called four times in each `ms` until the end */
  keep(ms: number, renew: () => void): void {
    const again = () => {
      this.#stop = this.#time.after(ms / 4, each, false);
    };
    const each = () => {
      renew();
      again();
    };
    again();
  }

  end(): void {
    this.#stop();
  }
}
