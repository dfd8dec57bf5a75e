import type { Effect, NamedEffect } from "../../agent/effects.ts";
import type { Fault } from "../../agent/faults.ts";

/** How each effect can fail, besides a kill of the agent. */
type Failure = Exclude<Fault, "kill-before" | "kill-after">;

/** Opens or creates a file, or starts a program: no space, or too many open files. */
const making: readonly Failure[] = ["fail-ENOSPC", "fail-EMFILE"];
/** Writes to an open file. */
const writing: readonly Failure[] = ["fail-ENOSPC", "fail-EIO"];
const removing: readonly Failure[] = ["fail-EIO"];
/** Walks a tree to remove it. */
const clearing: readonly Failure[] = ["fail-EIO", "fail-EMFILE"];
const whole: readonly Failure[] = ["fail-ENOSPC", "fail-EIO", "fail-EMFILE"];
/** A call to supervisord: it does not arrive, no socket can be opened, or its answer is lost. */
const calling: readonly Failure[] = ["fail-ECONNRESET", "lose", "fail-EMFILE"];

const failures: Record<NamedEffect, readonly Failure[]> = {
  "app.prepare": writing,
  "app.remove": clearing,
  "directory.make": writing,
  "bundle.clear": clearing,
  "bundle.spool": whole,
  "object.write": whole,
  "object.link": whole,
  "bundle.static": making,
  "bundle.shared": making,
  "bundle.drop": clearing,
  "release.rename": writing,
  "release.sync": clearing,
  "release.aside": writing,
  "release.remove": clearing,
  "release.command": making,
  "object.collect": removing,
  "release.share": making,
  "environment.clear": clearing,
  "environment.build": whole,
  "environment.take": whole,
  "environment.complete": making,
  "environment.link": writing,
  "environment.bytecode": whole,
  "environment.remove": clearing,
  "ports.reserve": whole,
  "ports.release": removing,
  "run.prepare": writing,
  "launch.create": making,
  "launch.write": writing,
  "launch.sync": writing,
  "programs.write": whole,
  "programs.reload": calling,
  "programs.add": calling,
  "programs.start": calling,
  // The kernel refuses it, or a table cannot be opened.
  "programs.share": ["fail-EMFILE"],
  "programs.stop": calling,
  "programs.unlink": removing,
  "programs.remove": calling,
  "process.unlink": removing,
  // A signal fails only if its process is gone.
  "run.kill": [],
  "launch.remove": clearing,
  "run.remove": clearing,
  "links.publish": writing,
  "slots.prepare": making,
  "slots.swap": writing,
  "slots.tidy": clearing,
  "nginx.keep": whole,
  "site.write": whole,
  "upstream.write": whole,
  "site.restore": whole,
  "site.remove": removing,
  // The signal arrives, but what the new workers log is read from files.
  "nginx.reload": ["lose", "fail-EMFILE"],
  "nginx.forget": removing,
  "requests.rotate": writing,
  "requests.save": whole,
  "maintenance.allow": writing,
  "maintenance.begin": whole,
  "maintenance.end": removing,
  "maintenance.remove": clearing,
  "events.append": whole,
  "events.collect": removing,
  "logs.collect": clearing,
  "audit.open": making,
  "audit.append": writing,
  "audit.rotate": writing,
  "token.spend": whole,
  "token.rewrite": whole,
  "state.copy": making,
  "durable.clear": removing,
  "durable.create": making,
  "durable.write": writing,
  "durable.sync": writing,
  "durable.rename": writing,
  "durable.sync-directory": clearing,
  "durable.symlink": writing,
  "durable.link": writing,
};

export function failuresOf(effect: Effect): readonly Failure[] {
  return isNamed(effect) ? failures[effect] : whole;
}

function isNamed(effect: Effect): effect is NamedEffect {
  return Object.hasOwn(failures, effect);
}
