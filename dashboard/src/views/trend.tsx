/** The trend by hour or day, the funnel, and what a period comes to by promoter, product and so on. */

import { useState } from "preact/hooks";
import { query, useApi } from "../api";
import { count, percent } from "../format";
import { t } from "../i18n";
import { prefs } from "../prefs";
import type { Trend as Curves, Figures, Group, Summary } from "../types";
import { Card, Choice, Page, Trouble, Waiting } from "../ui/basics";
import { money } from "../ui/columns";
import { bucketOf, Curve, type Span, Spans, since, Totals } from "../ui/figures";
import { Table } from "../ui/table";

const GROUPS = ["promoter", "product", "merchant", "channel", "sub1", "sub2"] as const;
type GroupBy = (typeof GROUPS)[number];

export function Trend() {
  const [span, setSpan] = useState<Span>("7");
  const [group, setGroup] = useState<GroupBy>("promoter");
  const period = { from: since(span), tz: prefs.tz };
  const bucket = bucketOf(span);
  const curve = useApi<Curves>(`reports/trend${query({ ...period, interval: bucket })}`);
  const groups = useApi<Summary>(`reports/summary${query({ ...period, group_by: group })}`);
  return (
    <Page
      title={t("trend.title")}
      intro={t("trend.intro", { zone: prefs.tz })}
      actions={<Spans value={span} onChange={setSpan} />}
    >
      <Trouble error={curve.error} />
      {curve.data ? (
        <>
          <Totals figures={curve.data} />
          <Card title={t(bucket === "day" ? "trend.by_day" : "trend.by_hour")}>
            <Curve of={curve.data} label={t("trend.curve")} />
          </Card>
          <div class="cols">
            <Card title={t("trend.funnel")}>
              <Funnel figures={curve.data} />
            </Card>
            <Card title={t("trend.table")}>
              <Buckets of={curve.data} />
            </Card>
          </div>
        </>
      ) : (
        !curve.error && <Waiting />
      )}
      <Card
        title={t("trend.groups")}
        actions={
          <Choice
            label={t("trend.group_by")}
            value={group}
            options={GROUPS.map((name) => [name, t(`group.${name}`)] as const)}
            onChange={setGroup}
          />
        }
      >
        <Trouble error={groups.error} />
        {groups.data && !groups.loading && <Groups items={groups.data.items ?? []} group={group} />}
      </Card>
    </Page>
  );
}

function Funnel({ figures }: { figures: Figures }) {
  const steps = [
    [t("figure.impressions"), figures.impressions, null],
    [t("figure.clicks"), figures.clicks, figures.ctr],
    [t("figure.conversions"), figures.conversions, figures.cvr],
  ] as const;
  const most = Math.max(1, ...steps.map(([, value]) => value));
  return (
    <>
      <dl class="funnel">
        {steps.map(([label, value, rate]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd class="bar">
              <i style={{ width: `${(100 * value) / most}%` }} />
            </dd>
            <dd>
              {count(value)} <span class="dim">{rate === null ? "" : percent(rate)}</span>
            </dd>
          </div>
        ))}
      </dl>
      <p />
      <p class="dim">
        {t("trend.apart", { bots: count(figures.bots), prefetches: count(figures.prefetches) })}
      </p>
    </>
  );
}

const MOST_BUCKETS = 8;
const MOST_GROUPS = 200;

function Buckets({ of }: { of: Curves }) {
  const bucket = of.interval;
  const items = [...of.items].reverse().slice(0, MOST_BUCKETS);
  return (
    <Table
      caption={t("trend.table")}
      rows={items}
      rowKey={(item) => String(item[bucket])}
      empty={t("trend.none")}
      columns={[
        { title: t(bucket), cell: (item) => String(item[bucket]).slice(0, 16).replace("T", " ") },
        { title: t("figure.clicks"), kind: "num", cell: (item) => count(item.clicks) },
        { title: t("figure.conversions"), kind: "num", cell: (item) => count(item.conversions) },
        money(t("figure.sales"), "sales"),
      ]}
    />
  );
}

function Groups({ items, group }: { items: Group[]; group: GroupBy }) {
  return (
    <>
      <Best items={items} group={group} />
      {items.length > MOST_GROUPS && (
        <p class="dim">{t("trend.first_groups", { shown: MOST_GROUPS, all: count(items.length) })}</p>
      )}
    </>
  );
}

function Best({ items, group }: { items: Group[]; group: GroupBy }) {
  const sorted = [...items].sort(
    (one, other) => Number(other.sales ?? 0) - Number(one.sales ?? 0) || other.clicks - one.clicks,
  );
  return (
    <Table
      caption={t("trend.groups")}
      rows={sorted.slice(0, MOST_GROUPS)}
      rowKey={(item) => String(item[group])}
      empty={t("trend.none")}
      columns={[
        {
          title: t(`group.${group}`),
          cell: (item) => String(item[group]) || <span class="dim">{t("none")}</span>,
        },
        { title: t("figure.impressions"), kind: "num", cell: (item) => count(item.impressions) },
        { title: t("figure.clicks"), kind: "num", cell: (item) => count(item.clicks) },
        { title: t("figure.visitors"), kind: "num", cell: (item) => count(item.unique_visitors) },
        { title: t("figure.conversions"), kind: "num", cell: (item) => count(item.conversions) },
        { title: t("figure.cvr"), kind: "num", cell: (item) => percent(item.cvr) },
        money(t("figure.sales"), "sales"),
        money(t("figure.commission"), "commission"),
        {
          title: t("figure.roi"),
          kind: "num",
          cell: (item) => (item.roi === null ? "–" : percent(item.roi, 0)),
        },
      ]}
    />
  );
}
