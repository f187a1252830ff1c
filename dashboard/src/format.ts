/** How figures and times read. Money stays text from end to end: no float ever holds it. */

import { prefs } from "./prefs";

const locale = () => (prefs.lang === "zh" ? "zh-CN" : "en-GB");

/** "1234567.5" → "1,234,567.5" */
export function grouped(amount: string): string {
  const [whole = "", part] = amount.split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? text : `${text}.${part}`;
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : new Intl.NumberFormat(locale()).format(value);
}

export function percent(value: number | null | undefined, digits = 2): string {
  return value === null || value === undefined
    ? "–"
    : new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: digits }).format(value);
}

export function time(instant: string | null | undefined): string {
  if (!instant) return "–";
  return new Intl.DateTimeFormat(locale(), {
    timeZone: prefs.tz,
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(new Date(instant));
}

export function clock(instant: string): string {
  return new Intl.DateTimeFormat(locale(), {
    timeZone: prefs.tz,
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(new Date(instant));
}

/** The date of so many days ago where the person is, as YYYY-MM-DD. */
export function dayAgo(days: number): string {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: prefs.tz, dateStyle: "short" });
  return parts.format(new Date(Date.now() - days * 86_400_000));
}

export function short(id: string): string {
  return id.length > 12 ? `${id.slice(0, 8)}…` : id;
}
