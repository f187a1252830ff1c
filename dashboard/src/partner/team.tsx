/** The team below a promoter, in totals: who they are is theirs. */

import { useState } from "preact/hooks";
import { query, useApi } from "../api";
import { count } from "../format";
import { t } from "../i18n";
import { prefs } from "../prefs";
import type { Team as Below } from "../types";
import { Card, Money, Page, Stats, Trouble, Waiting } from "../ui/basics";
import { type Span, Spans, since } from "../ui/figures";
import { Table } from "../ui/table";
import type { ViewProps } from "../views";

interface Sold {
  orders: number;
  currency: string | null;
  sales: string | null;
  commission: string | null;
}

export function Team({ context }: ViewProps) {
  const [span, setSpan] = useState<Span>("30");
  const team = useApi<Below>(`promoters/${encodeURIComponent(context.subject)}/team`);
  const asked = query({ from: since(span), tz: prefs.tz });
  const sold = useApi<Sold & { team: Sold }>(`reports/team/${encodeURIComponent(context.subject)}${asked}`);
  return (
    <Page title={t("team.title")} intro={t("team.intro")} actions={<Spans value={span} onChange={setSpan} />}>
      <Trouble error={sold.error} />
      {sold.data && (
        <div class="cols">
          <Card title={t("team.own")}>
            <Sales of={sold.data} />
          </Card>
          <Card title={t("team.all")}>
            <Sales of={sold.data.team} />
          </Card>
        </div>
      )}
      <Trouble error={team.error} />
      {team.data ? (
        <>
          <Stats
            items={[
              [t("team.direct"), count(team.data.direct)],
              [t("team.total"), count(team.data.total)],
            ]}
          />
          <Card title={t("team.levels")}>
            <Table
              caption={t("team.levels")}
              rows={Object.entries(team.data.by_level)}
              rowKey={([level]) => level}
              empty={t("team.none")}
              columns={[
                { title: t("level"), cell: ([level]) => level },
                { title: t("team.people"), kind: "num", cell: ([, many]) => count(many) },
              ]}
            />
          </Card>
        </>
      ) : (
        !team.error && <Waiting />
      )}
    </Page>
  );
}

function Sales({ of }: { of: Sold }) {
  return (
    <dl class="sum">
      <dt>{t("figure.orders")}</dt>
      <dd>{count(of.orders)}</dd>
      <dt>{t("figure.sales")}</dt>
      <dd>
        <Money amount={of.sales} currency={of.currency} />
      </dd>
      <dt>{t("figure.commission")}</dt>
      <dd>
        <Money amount={of.commission} currency={of.currency} />
      </dd>
    </dl>
  );
}
