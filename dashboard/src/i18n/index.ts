/** The words of the page. Both dictionaries have the same keys: the type of the second says so. */

import { prefs } from "../prefs";
import { en, type Key } from "./en";
import { zh } from "./zh";

export type { Key };

/** The text of a key, with `{name}` filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text: string = (prefs.lang === "zh" ? zh : en)[key];
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The words of a code of the API; where there are none, what the server said. */
export function said(group: string, code: string, otherwise = code): string {
  const key = `${group}.${code || "none"}`;
  return key in en ? t(key as Key) : otherwise;
}
