import { expect, test } from "vitest";
import { allowedPorts, permitPorts } from "../../agent/permit-ports.ts";
import { type AppSettings, appSettingsSchema } from "../../agent/settings.ts";
import { type Config, configSchema } from "../../shared/config.ts";

const settings = (ports?: AppSettings["ports"]): AppSettings => ({
  ...appSettingsSchema.parse({ ports }),
  app: "shop",
  file: "/etc/cutover/apps/shop.yml",
});
const config = (instances: number, bind = "port"): Config =>
  configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop:app", bind, instances } });

test("the ports of one range, or of several, each once", () => {
  expect(allowedPorts(settings("9000-9002"))).toEqual([9000, 9001, 9002]);
  expect(allowedPorts(settings(["9000-9001", "9001-9001", "8000-8000"]))).toEqual([9000, 9001, 8000]);
  expect(allowedPorts(settings())).toEqual([]);
});

test.each(["80-90", "9000", "9001-9000", "9000-70000", "a-b"])("%j is no range", (ports) => {
  expect(appSettingsSchema.safeParse({ ports }).success).toBe(false);
});

test("instances on ports need three times as many: live, new, and one that is staged or warm", () => {
  expect(() => permitPorts(config(2), settings("9000-9005"))).not.toThrow();
  expect(() => permitPorts(config(2, "socket"), settings())).not.toThrow();
  expect(() => permitPorts(config(2), settings())).toThrow(
    expect.objectContaining({
      code: "ports_not_allowed",
      message: expect.stringContaining("needs 6 ports on the host for 2 instances, and it allows none"),
      fix: expect.stringContaining('In /etc/cutover/apps/shop.yml on the host, write: ports: "9000-9099"'),
    }),
  );
  expect(() => permitPorts(config(40), settings("9000-9099"))).toThrow(
    expect.objectContaining({
      code: "ports_not_allowed",
      message: expect.stringContaining("needs 120 ports on the host for 40 instances, and it allows 100"),
      fix: expect.stringContaining('ports: "9000-9119"'),
    }),
  );
});
