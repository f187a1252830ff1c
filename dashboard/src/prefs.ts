/** What a person chose for this browser: language, theme, time zone. */

export type Lang = "en" | "zh";
export type Theme = "auto" | "light" | "dark";

interface Prefs {
  lang: Lang;
  theme: Theme;
  tz: string;
}

const KEY = "tuike";
const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

function stored(): Partial<Prefs> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

export const prefs: Prefs = {
  lang: navigator.language.startsWith("zh") ? "zh" : "en",
  theme: "auto",
  tz: browserZone,
  ...stored(),
};

let redraw = () => {};

export function onPrefs(draw: () => void): void {
  redraw = draw;
}

export function setPrefs(change: Partial<Prefs>): void {
  Object.assign(prefs, change);
  localStorage.setItem(KEY, JSON.stringify(prefs));
  applyPrefs();
  redraw();
}

export function applyPrefs(): void {
  const root = document.documentElement;
  root.lang = prefs.lang === "zh" ? "zh-CN" : "en";
  if (prefs.theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = prefs.theme;
}

/** Zones worth a choice: the browser's own, UTC, and where the product's people are. */
export const zones = [...new Set([browserZone, "UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"])];

export const isDark = (): boolean =>
  prefs.theme === "dark" || (prefs.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
