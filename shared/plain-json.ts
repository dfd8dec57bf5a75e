/**
 * The value of a JSON text that is exactly as `JSON.stringify` writes it: no byte order mark, no key twice, no second way to
 * write the same value. So two readers of the same bytes cannot see two things.
 * @throws Error that says what is wrong
 */
export function parsePlainJson(text: string): unknown {
  if (text.startsWith("\ufeff")) throw new Error("it begins with a byte order mark");
  const value = parsed(text);
  if (JSON.stringify(value) !== text) {
    throw new Error("it is not as JSON.stringify writes it: a key occurs twice, or there is more than values");
  }
  return value;
}

/** The value of a JSON text; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
}
