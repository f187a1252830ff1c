/** How figures and times read. Money stays text from end to end: no float ever holds it. */

import { prefs } from "./prefs";

const locale = () => (prefs.lang === "zh" ? "zh-CN" : "en-GB");

const kept = new Map<string, unknown>();

/** What `make` makes for this language and zone, made once: an Intl format costs more than a cell of a table. */
function once<T>(name: string, make: () => T): T {
  const key = `${name} ${locale()} ${prefs.tz}`;
  if (!kept.has(key)) kept.set(key, make());
  return kept.get(key) as T;
}

/** "1234567.5" → "1,234,567.5" */
export function grouped(amount: string): string {
  const [whole = "", part] = amount.split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? text : `${text}.${part}`;
}

const whole = () => once("whole", () => new Intl.NumberFormat(locale()));

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : whole().format(value);
}

const ratio = (digits: number) =>
  once(
    `ratio ${digits}`,
    () => new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: digits }),
  );

export function percent(value: number | null | undefined, digits = 2): string {
  return value === null || value === undefined ? "–" : ratio(digits).format(value);
}

const instant = () =>
  once(
    "instant",
    () =>
      new Intl.DateTimeFormat(locale(), {
        timeZone: prefs.tz,
        year: "numeric",
        month: "short",
        day: "numeric",
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
      }),
  );

export function time(at: string | null | undefined): string {
  return at ? instant().format(new Date(at)) : "–";
}

const hands = () =>
  once(
    "hands",
    () =>
      new Intl.DateTimeFormat(locale(), {
        timeZone: prefs.tz,
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
        hourCycle: "h23",
      }),
  );

export function clock(at: string): string {
  return hands().format(new Date(at));
}

/** The date of so many days ago where the person is, as YYYY-MM-DD. */
export function dayAgo(days: number): string {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: prefs.tz, dateStyle: "short" });
  return parts.format(new Date(Date.now() - days * 86_400_000));
}

export function short(id: string): string {
  return id.length > 12 ? `${id.slice(0, 8)}…` : id;
}
