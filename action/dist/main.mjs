import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
// action/runner/secrets.ts
/** Of the environment that the runner gives to this step: what no program of the repository may have. */
function isSecret(name) {
	return /^(?:INPUT_|ACTIONS_ID_TOKEN_REQUEST_|ACTIONS_RUNTIME_TOKEN$)/.test(name);
}
/** The environment without its secrets. */
function withoutSecrets(env) {
	return Object.fromEntries(Object.entries(env).filter(([name]) => !isSecret(name)));
}
/**
* Takes the secrets out of the environment with which this process was started. Every child, and whoever else runs as this
* user, could read them in `/proc/<pid>/environ`, which shows what a process was started with: a variable that is deleted
* stays there. So the process becomes itself again, without them, before it starts any other. They go over in a file that
* only this user may read, and that is removed before anything else is done.
* @returns the secrets. At a first start it does not return: the process starts again.
*/
function shedSecrets() {
	const [script = "", handed] = process.argv.slice(1);
	if (handed !== void 0) return take(handed);
	const secrets = Object.fromEntries(Object.entries(process.env).filter(([name]) => isSecret(name)));
	if (process.platform !== "linux" || process.execve === void 0 || Object.keys(secrets).length === 0) return secrets;
	const directory = mkdtempSync(join(process.env.RUNNER_TEMP ?? tmpdir(), "cutover-start-"));
	const file = join(directory, "secrets.json");
	writeFileSync(file, JSON.stringify(secrets), {
		flag: "wx",
		mode: 384
	});
	return process.execve(process.execPath, [
		process.execPath,
		...process.execArgv,
		script,
		file
	], withoutSecrets(process.env));
}
function take(file) {
	try {
		return JSON.parse(readFileSync(file, "utf8"));
	} finally {
		rmSync(dirname(file), {
			recursive: true,
			force: true
		});
	}
}
// action/main.ts
const secrets = shedSecrets();
import("./start.mjs").then(({ start }) => start({
	...process.env,
	...secrets
}));
export { withoutSecrets as t };
