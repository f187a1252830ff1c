/** The promoter's clicks: the curve, and what became of one of them. */

import { useState } from "preact/hooks";
import { query, useApi, usePages } from "../api";
import { count, time } from "../format";
import { said, t } from "../i18n";
import { prefs } from "../prefs";
import type { Summary, Trend } from "../types";
import { Card, Field, Page, Trouble, Waiting } from "../ui/basics";
import { bucketOf, Curve, type Span, Spans, since, Totals } from "../ui/figures";
import { List, Table } from "../ui/table";

interface Click {
  click_id: string;
  at: string;
  counted: boolean;
  reason: string;
  product: string;
  link: string;
  channel: string;
  sub1: string;
}

export function Clicks() {
  const [span, setSpan] = useState<Span>("7");
  const period = { from: since(span), tz: prefs.tz };
  const curve = useApi<Trend>(`reports/trend${query({ ...period, interval: bucketOf(span) })}`);
  const labels = useApi<Summary>(`reports/summary${query({ ...period, group_by: "sub1" })}`);
  return (
    <Page
      title={t("clicks.title")}
      intro={t("clicks.intro")}
      actions={<Spans value={span} onChange={setSpan} />}
    >
      <Trouble error={curve.error} />
      {curve.data ? (
        <>
          <Totals figures={curve.data} />
          <Card title={t("trend.curve")}>
            <Curve of={curve.data} label={t("trend.curve")} />
            <p class="dim">
              {t("trend.apart", { bots: count(curve.data.bots), prefetches: count(curve.data.prefetches) })}
            </p>
          </Card>
        </>
      ) : (
        !curve.error && <Waiting />
      )}
      <div class="cols">
        <Card title={t("clicks.by_label")}>
          <Table
            caption={t("clicks.by_label")}
            rows={labels.data?.items ?? []}
            rowKey={(item) => String(item.sub1)}
            empty={t("clicks.no_labels")}
            columns={[
              { title: "sub1", cell: (item) => String(item.sub1) },
              { title: t("figure.clicks"), kind: "num", cell: (item) => count(item.clicks) },
              { title: t("figure.conversions"), kind: "num", cell: (item) => count(item.conversions) },
            ]}
          />
        </Card>
        <Lookup />
      </div>
      <Newest />
    </Page>
  );
}

const became = (click: Click) => (click.counted ? t("clicks.counted") : said("touch", click.reason));

function Newest() {
  const pages = usePages<Click>("clicks?limit=50");
  return (
    <Card title={t("clicks.newest")}>
      <List
        caption={t("clicks.newest")}
        pages={pages}
        rowKey={(click) => click.click_id}
        empty={t("clicks.none")}
        columns={[
          { title: t("time"), cell: (click) => time(click.at) },
          { title: t("product"), cell: (click) => click.product },
          { title: t("clicks.link"), cell: (click) => click.link || "–" },
          { title: t("group.channel"), cell: (click) => click.channel || "–" },
          { title: "sub1", cell: (click) => click.sub1 },
          { title: t("reason"), kind: "wrap", cell: became },
        ]}
      />
    </Card>
  );
}

function Lookup() {
  const [id, setId] = useState("");
  const click = useApi<Click>(id ? `clicks/${encodeURIComponent(id)}` : "");
  return (
    <Card title={t("clicks.lookup")}>
      <p class="dim">{t("clicks.lookup_what")}</p>
      <Field label={t("clicks.id")}>
        <input class="mono" value={id} onChange={(event) => setId(event.currentTarget.value.trim())} />
      </Field>
      <p />
      <Trouble error={click.error} />
      {id && click.data && !click.error && (
        <p class={`note ${click.data.counted ? "good" : "warn"}`} role="status">
          {time(click.data.at)} · {click.data.product} · {click.data.channel || "–"}: {became(click.data)}
        </p>
      )}
    </Card>
  );
}
