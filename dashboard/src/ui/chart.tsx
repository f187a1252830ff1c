/** A line chart over time (uPlot), which takes its colours from the page. What it shows is also a table beside it. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { t } from "../i18n";
import { isDark, prefs } from "../prefs";

export interface Line {
  label: string;
  values: (number | null)[];
  colour?: "accent" | "second" | "bad" | "dim";
  scale?: "y" | "right";
  /** `band`: the area to the line before it; `points`: no line. */
  kind?: "line" | "band" | "points";
}

/** A colour of the style sheet, as the theme has it now: a canvas knows no variables. */
function css(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Times along the axis, as fine as its steps. */
function times(splits: number[], step: number): string[] {
  const parts: Intl.DateTimeFormatOptions =
    step >= 86_400
      ? { month: "short", day: "numeric" }
      : { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}), hourCycle: "h23" };
  const format = new Intl.DateTimeFormat(prefs.lang === "zh" ? "zh-CN" : "en-GB", {
    ...parts,
    timeZone: prefs.tz,
  });
  const day = new Intl.DateTimeFormat(prefs.lang === "zh" ? "zh-CN" : "en-GB", {
    month: "short",
    day: "numeric",
    timeZone: prefs.tz,
  });
  let before = "";
  return splits.map((at) => {
    const date = day.format(at * 1000);
    const text = step >= 86_400 || step < 60 || date === before ? "" : `\n${date}`;
    before = date;
    return format.format(at * 1000) + text;
  });
}

const WHOLE = [1, 2, 5]
  .flatMap((first) => Array.from({ length: 9 }, (_, power) => first * 10 ** power))
  .sort((a, b) => a - b);

function options(width: number, height: number, lines: Line[], span: number | undefined): uPlot.Options {
  const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
  const right = lines.some((line) => line.scale === "right");
  const font = "12px system-ui";
  return {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), prefs.tz),
    cursor: { points: { size: 6 } },
    scales: {
      ...(span
        ? {
            x: {
              // before there is a point, up to now
              range: (plot: uPlot, _from: number, last: number): [number, number] => {
                const end = plot.data[0].length ? last : Date.now() / 1000;
                return [end - span, end];
              },
            },
          }
        : {}),
      y: { range: { min: { mode: 1, soft: 0 }, max: { mode: 2, soft: 1, pad: 0.1 } } },
      right: { range: { min: { mode: 1, soft: 0 }, max: { mode: 2, soft: 1, pad: 0.1 } } },
    },
    axes: [
      {
        ...axis,
        font,
        grid: { show: false },
        size: 44,
        values: (_plot, splits, _axis, _space, step) => times(splits, step),
      },
      { ...axis, font, size: 52, incrs: WHOLE },
      ...(right
        ? [{ ...axis, font, scale: "right", side: 1 as const, size: 52, incrs: WHOLE, grid: { show: false } }]
        : []),
    ],
    series: [
      { label: t("time") },
      ...lines.map((line): uPlot.Series => {
        const stroke = css(`--${line.colour ?? "accent"}`);
        const points = line.kind === "points";
        return {
          label: line.label,
          scale: line.scale ?? "y",
          stroke,
          width: points ? 0 : line.kind === "band" ? 0.5 : 2,
          points: { show: points, size: 9, fill: stroke },
        };
      }),
    ],
    bands: lines.flatMap((line, at) =>
      line.kind === "band" && at > 0
        ? [{ series: [at, at + 1] as [number, number], fill: css("--band") }]
        : [],
    ),
  };
}

export function Chart({
  label,
  at,
  lines,
  height = 220,
  span,
}: {
  label: string;
  at: number[];
  lines: Line[];
  height?: number;
  /** So many seconds up to the last one, be they filled or not. */
  span?: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = JSON.stringify([lines.map(({ values: _, ...rest }) => rest), prefs, isDark()]);
  const data = [at, ...lines.map((line) => line.values)] as uPlot.AlignedData;
  // a new plot only where its shape is new
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(element.clientWidth, height, lines, span), data, element);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data));
  return (
    <figure role="img" aria-label={label}>
      <div ref={box} />
    </figure>
  );
}
