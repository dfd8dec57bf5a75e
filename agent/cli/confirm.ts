import { createInterface } from "node:readline/promises";
import type { Terminal } from "./terminal.ts";

/** Asks a person at a terminal; anything but yes is no. */
export async function confirm({ stdin, stdout }: Terminal, question: string): Promise<boolean> {
  const questions = createInterface({ input: stdin, output: stdout });
  try {
    const answer = await questions.question(`${question} [y/N] `);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    questions.close();
  }
}
