import { english, type Words } from "./words-en.ts";
import { chinese } from "./words-zh.ts";

export type { Words };

export const languages = { en: english, zh: chinese } satisfies Record<string, Words>;
export type Language = keyof typeof languages;

export function isLanguage(text: string | undefined): text is Language {
  return text !== undefined && Object.hasOwn(languages, text);
}

/** The first of the browser's languages that the page has. */
export function languageOf(accepted: string | undefined): Language {
  const wanted = (accepted ?? "").split(",").map((part) => part.trim().slice(0, 2).toLowerCase());
  return wanted.find(isLanguage) ?? "en";
}
