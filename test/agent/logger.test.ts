import { expect, test } from "vitest";
import { createLogger } from "../../agent/logger.ts";
import { CutoverError } from "../../shared/errors.ts";
import { generateKey, importPrivateKey, signToken } from "../../shared/key.ts";

function capture(act: (logger: ReturnType<typeof createLogger>) => void): string {
  let text = "";
  const write = (line: string): void => {
    text += line;
  };
  act(createLogger("debug", { write }));
  return text;
}

test("a token or a private key is in no line, wherever it was put", async () => {
  const { privatePem } = await generateKey();
  const token = await signToken(await importPrivateKey(privatePem), "cutover/v1/h:1/shop/read", { sub: "ci" });
  const text = capture((logger) => {
    logger.info({ token, headers: { authorization: `Bearer ${token}` } }, "fields");
    logger.warn(`text with ${token}`);
    logger.error({ err: new Error(`refused ${token}`, { cause: new Error(privatePem) }) }, "error");
    logger.debug({ deep: { deeper: { pem: privatePem, header: `Authorization: Bearer ${token}` } } }, "deep");
  });
  const secrets = [
    ...token.split("."),
    ...privatePem.split("\n").filter((line) => line.length > 30 && !line.startsWith("---")),
  ];
  for (const secret of secrets) expect(text).not.toContain(secret);
  for (const line of text.trim().split("\n")) expect(() => JSON.parse(line)).not.toThrow();
});

test("a token is found behind other parts with dots, and the rest of the line stays", () => {
  const token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjaSJ9.c2lnbmF0dXJl";
  const text = (line: string) => JSON.parse(capture((logger) => logger.info(line))).msg as string;
  expect(text(`host.example.com.${token} and x${token}, later`)).toBe("host.example.com.[token] and x[token], later");
  expect(text("eyJ.a eyJabc.d shop-2.example.com")).toBe("eyJ.a eyJabc.d shop-2.example.com");
});

test("an error is logged with its code and its causes, and without its evidence", () => {
  const error = new CutoverError("environment_failed", "pip failed.", {
    evidence: [{ source: "pip", text: "password=hunter2" }],
    cause: Object.assign(new Error("exit 1"), { code: "EPIPE" }),
  });
  const text = capture((logger) => logger.error({ err: error }, "build"));
  expect(JSON.parse(text)).toMatchObject({
    level: "error",
    err: {
      type: "CutoverError",
      code: "environment_failed",
      message: "pip failed.",
      cause: { code: "EPIPE", message: "exit 1" },
    },
  });
  expect(text).not.toContain("hunter2");
});

test("the journal learns how serious a line is, for `journalctl -p warning`", () => {
  const lines: string[] = [];
  const logger = createLogger("info", { write: (line) => void lines.push(line) }, true);
  logger.info("ready");
  logger.warn("the disk is nearly full");
  logger.error({ level: 30 }, "it failed");
  expect(lines.map((line) => line.slice(0, 3))).toEqual(["<6>", "<4>", "<3>"]);
  expect(JSON.parse(lines[1]?.slice(3) ?? "")).toMatchObject({ level: "warn", msg: "the disk is nearly full" });
});
