import { expect, test } from "vitest";
import { judge } from "../../../../agent/doctor/checks.ts";
import type { UnitFacts } from "../../../../agent/doctor/facts/facts.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { healthyHost } from "../facts.ts";

const agent: UnitFacts = {
  name: "cutover-agent.service",
  writable: ["/var/lib/cutover"],
  privateTmp: true,
  seesHome: false,
};
const helper: UnitFacts = {
  ...agent,
  name: "cutover-helper@.service",
  writable: ["/var/lib/cutover", "/run/cutover-helper", "/etc/nginx", "/etc/supervisor", "/var/log/nginx"],
};
const found = (settings: object, units = [agent, helper]) =>
  judge(healthyHost({ units, settings: agentSettingsSchema.parse(settings) })).filter(({ check }) => check === "units");

test("the units of the package reach what a Debian host's agent.yml names", () => {
  expect(found({})).toEqual([]);
});

const openresty = {
  nginx: {
    binary: "/usr/local/openresty/bin/openresty",
    conf_dir: "/usr/local/openresty/nginx/conf/conf.d",
    log_dir: "/usr/local/openresty/nginx/logs",
  },
  supervisor: { socket: "/tmp/supervisor.sock", conf_dir: "/etc/supervisord.d" },
};

test("H1 other paths are named with the drop-in that opens them", () => {
  const [finding, ...more] = found(openresty);
  expect(more).toEqual([]);
  expect(finding).toMatchObject({ severity: "error" });
  expect(finding?.what).toBe(
    "cutover-helper@.service cannot reach what agent.yml names: /usr/local/openresty/nginx/conf/conf.d (not writable), /usr/local/openresty/nginx/logs (not writable), /etc/supervisord.d (not writable), /tmp/supervisor.sock (it has a /tmp of its own).",
  );
  expect(finding?.fix).toMatch(/^Better: let supervisord make its socket in \/run/);
  expect(finding?.mend?.writes).toEqual([
    {
      path: "/etc/systemd/system/cutover-helper@.service.d/agent-yml.conf",
      text: `# Written by \`cutover doctor --fix\` for the paths in /etc/cutover/agent.yml.
[Service]
ReadWritePaths=-/var/lib/cutover -/usr/local/openresty/nginx/conf/conf.d -/usr/local/openresty/nginx/logs -/etc/supervisord.d
PrivateTmp=no
`,
    },
  ]);
});

test("H1 with the drop-in there is nothing left, and a second path does not undo the first", () => {
  const { conf_dir, log_dir } = openresty.nginx;
  const opened = {
    ...helper,
    privateTmp: false,
    writable: [...helper.writable, conf_dir, log_dir, "/etc/supervisord.d"],
  };
  expect(found(openresty, [agent, opened])).toEqual([]);
  const [finding] = found({ ...openresty, data: "/srv/cutover" }, [{ ...agent, writable: ["/srv"] }, opened]);
  expect(finding?.mend?.writes[0]?.text).toContain(`-/srv/cutover -${conf_dir}`);
  expect(finding?.mend?.writes[0]?.text).toContain("PrivateTmp=no");
});

test("a data directory of its own, below a home directory, with odd characters", () => {
  const findings = found({ data: "/home/my apps/100%" });
  expect(findings.map(({ what }) => what.split(" ")[0])).toEqual([agent.name, helper.name]);
  expect(
    findings[0]?.mend?.writes[0]?.text,
  ).toBe(`# Written by \`cutover doctor --fix\` for the paths in /etc/cutover/agent.yml.
[Service]
ReadWritePaths="-/home/my apps/100%%"
ProtectHome=no
`);
});
