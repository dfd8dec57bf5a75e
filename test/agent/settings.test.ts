import { expect, test } from "vitest";
import { agentSettingsSchema } from "../../agent/settings.ts";
import { parseYamlFile } from "../../shared/yaml-file.ts";

test.each(["7070", "nonsense:", ":"])("an address that is none is a fault, and no defect: %s", (listen) => {
  expect(agentSettingsSchema.safeParse({ listen }).success).toBe(false);
});

test("a wrong kind of address is a fault with its line, and no defect", () => {
  const errors = { notYaml: "host_settings_invalid", invalid: "host_settings_invalid" } as const;
  const read = () => parseYamlFile("listen: [7070]\n", "agent.yml", agentSettingsSchema, errors);
  expect(read).toThrow(expect.objectContaining({ code: "host_settings_invalid" }));
});

test.each([
  ["web1.example.com:7070", true],
  ["web1.example.com", true],
  ["10.0.0.7:7070", true],
  ["[::1]:7070", true],
  ["web1.example.com:80", true],
  ["https://web1.example.com:7070", false],
  ["web1.example.com/agent", false],
  ["Web1.example.com", false],
  ["web 1", false],
  ["me@web1", false],
  ["web1:70700", false],
])("a name that no caller can know the agent by is refused: %s", (name, good) => {
  expect(agentSettingsSchema.safeParse({ names: [name] }).success).toBe(good);
});
