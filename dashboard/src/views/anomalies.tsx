/** Hours and days outside of the band that their past makes likely, on the curve. */

import { useState } from "preact/hooks";
import { query, useApi } from "../api";
import { count, grouped } from "../format";
import { t } from "../i18n";
import { prefs } from "../prefs";
import { Card, Page, Trouble, Waiting } from "../ui/basics";
import { Chart } from "../ui/chart";
import { useCurrency } from "../ui/currency";
import { bucketOf, FigureChoice, instantOf, type Span, Spans, since } from "../ui/figures";
import { Table } from "../ui/table";

const METRICS = ["clicks", "conversions", "sales", "bots"] as const;
type Metric = (typeof METRICS)[number];

interface Point {
  value: number | string;
  expected: number | string | null;
  low: number | string | null;
  high: number | string | null;
  anomaly: boolean;
}

type Odd = Point & { metric: Metric; hour?: string; day?: string };

interface Found {
  interval: "hour" | "day";
  currency: string | null;
  items: (Record<Metric, Point> & { hour?: string; day?: string })[];
  anomalies: Odd[];
}

const drawn = (value: number | string | null) => (value === null ? null : Number(value));
const read = (value: number | string | null) => (typeof value === "string" ? grouped(value) : count(value));

export function Anomalies() {
  const [span, setSpan] = useState<Span>("7");
  const [metric, setMetric] = useState<Metric>("clicks");
  const { currency, asked: told, choice } = useCurrency();
  const interval = bucketOf(span);
  const asked = { interval, from: since(span), tz: prefs.tz, currency: told };
  const found = useApi<Found>(currency ? `reports/anomalies${query(asked)}` : "");
  const data = found.error ? undefined : found.data;
  return (
    <Page
      title={t("anomalies.title")}
      intro={t("anomalies.intro")}
      actions={
        <>
          <FigureChoice of={METRICS} value={metric} onChange={setMetric} />
          {choice}
          <Spans value={span} onChange={setSpan} />
        </>
      }
    >
      <Trouble error={found.error} />
      {!data && !found.error && <Waiting />}
      {data && (
        <>
          <Card title={t(`figure.${metric}`)}>
            <Band of={data} metric={metric} />
          </Card>
          <Card title={t("anomalies.odd")}>
            <OddOnes of={data} />
          </Card>
        </>
      )}
    </Page>
  );
}

function Band({ of, metric }: { of: Found; metric: Metric }) {
  const points = of.items.map((item) => item[metric]);
  return (
    <Chart
      label={t("anomalies.curve", { metric: t(`figure.${metric}`) })}
      at={of.items.map((item) => instantOf(item[of.interval]))}
      height={260}
      lines={[
        {
          label: t("anomalies.high"),
          values: points.map((point) => drawn(point.high)),
          kind: "band",
          colour: "dim",
        },
        {
          label: t("anomalies.low"),
          values: points.map((point) => drawn(point.low)),
          kind: "band",
          colour: "dim",
        },
        { label: t(`figure.${metric}`), values: points.map((point) => drawn(point.value)) },
        {
          label: t("anomalies.odd"),
          values: points.map((point) => (point.anomaly ? drawn(point.value) : null)),
          kind: "points",
          colour: "bad",
        },
      ]}
    />
  );
}

function OddOnes({ of }: { of: Found }) {
  return (
    <Table
      caption={t("anomalies.odd")}
      rows={[...of.anomalies].reverse()}
      rowKey={(point) => `${point.metric}/${point[of.interval]}`}
      empty={t("anomalies.none")}
      columns={[
        { title: t(of.interval), cell: (point) => (point[of.interval] ?? "").slice(0, 16).replace("T", " ") },
        { title: t("anomalies.metric"), cell: (point) => t(`figure.${point.metric}`) },
        { title: t("anomalies.value"), kind: "num", cell: (point) => read(point.value) },
        {
          title: t("anomalies.expected"),
          kind: "num",
          cell: (point) => `${read(point.low)} – ${read(point.high)}`,
        },
      ]}
    />
  );
}
