/** Figures of a period, as the admin's trend and the promoter's clicks show them. */

import { count, dayAgo, percent } from "../format";
import { t } from "../i18n";
import type { Figures, Trend } from "../types";
import { Choice, Money, Segments, Stats } from "./basics";
import { Chart } from "./chart";

export type Span = "1" | "7" | "30" | "90";

export const bucketOf = (span: Span): "hour" | "day" => (span === "1" || span === "7" ? "hour" : "day");
export const since = (span: Span): string => dayAgo(Number(span) - 1);

export function Spans({ value, onChange }: { value: Span; onChange: (span: Span) => void }) {
  const options = (["1", "7", "30", "90"] as const).map((span) => [span, t(`span.${span}`)] as const);
  return <Segments label={t("span")} value={value} options={options} onChange={onChange} />;
}

/** Which of these figures is looked at. */
export function FigureChoice<
  T extends "clicks" | "conversions" | "orders" | "sales" | "commission" | "bots",
>(props: { of: readonly T[]; value: T; onChange: (figure: T) => void }) {
  const options = props.of.map((name) => [name, t(`figure.${name}`)] as const);
  return (
    <Choice label={t("anomalies.metric")} value={props.value} options={options} onChange={props.onChange} />
  );
}

/** One line a currency where there are several. */
function of(figures: Figures, name: "sales" | "commission") {
  if (figures.money.length < 2)
    return <Money amount={figures[name] ?? figures.money[0]?.[name]} currency={figures.currency} />;
  return figures.money.map((money) => (
    <div key={money.currency}>
      <Money amount={money[name]} currency={money.currency} />
    </div>
  ));
}

export function Totals({ figures }: { figures: Figures }) {
  return (
    <Stats
      items={[
        [t("figure.clicks"), count(figures.clicks)],
        [t("figure.visitors"), count(figures.unique_visitors)],
        [t("figure.conversions"), count(figures.conversions), percent(figures.cvr)],
        [t("figure.sales"), of(figures, "sales")],
        [t("figure.commission"), of(figures, "commission")],
        [t("figure.aov"), <Money key="aov" amount={figures.aov} currency={figures.currency} />],
      ]}
    />
  );
}

/** Where an hour (RFC 3339) or a day is drawn: a day in its middle. */
export const instantOf = (name: string | undefined): number =>
  Date.parse(name?.length === 10 ? `${name}T12:00:00Z` : (name ?? "")) / 1000;

export function Curve({ of, label }: { of: Trend; label: string }) {
  return (
    <Chart
      label={label}
      at={of.items.map((item) => instantOf(item[of.interval]))}
      lines={[
        { label: t("figure.clicks"), values: of.items.map((item) => item.clicks) },
        {
          label: t("figure.conversions"),
          values: of.items.map((item) => item.conversions),
          colour: "second",
          scale: "right",
        },
      ]}
    />
  );
}
