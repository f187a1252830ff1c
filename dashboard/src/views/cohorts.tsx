/** Customers by the month of their first order: what they are worth, and how many come back. It is made of all orders,
 * so it is made when it is asked for. */

import { useState } from "preact/hooks";
import { query, useApi } from "../api";
import { count, percent } from "../format";
import { t } from "../i18n";
import { prefs } from "../prefs";
import { Card, Money, Page, Trouble, Waiting } from "../ui/basics";
import { type Column, Table } from "../ui/table";

interface Cohort {
  cohort: string;
  currency: string;
  customers: number;
  orders: number;
  sales: string;
  ltv: string | null;
  months: { month: number; customers: number }[];
}

export function Cohorts() {
  const [asked, setAsked] = useState(false);
  const found = useApi<{ items: Cohort[] }>(asked ? `reports/cohorts${query({ tz: prefs.tz })}` : "");
  const items = found.data?.items ?? [];
  const last = Math.max(0, ...items.flatMap((one) => one.months.map(({ month }) => month)));
  return (
    <Page title={t("cohorts.title")} intro={t("cohorts.intro")}>
      <Trouble error={found.error} />
      {!asked && (
        <div class="more">
          <button type="button" class="main" onClick={() => setAsked(true)}>
            {t("cohorts.count")}
          </button>
        </div>
      )}
      {asked && !found.data && !found.error && <Waiting />}
      {found.data && (
        <Card title={t("cohorts.list")}>
          <Table
            caption={t("cohorts.list")}
            rows={[...items].reverse()}
            rowKey={(one) => `${one.cohort} ${one.currency}`}
            empty={t("cohorts.none")}
            columns={[
              { title: t("cohorts.first"), cell: (one) => one.cohort },
              { title: t("cohorts.customers"), kind: "num", cell: (one) => count(one.customers) },
              { title: t("cohorts.orders"), kind: "num", cell: (one) => count(one.orders) },
              {
                title: t("figure.sales"),
                kind: "num",
                cell: (one) => <Money amount={one.sales} currency={one.currency} />,
              },
              {
                title: t("cohorts.ltv"),
                kind: "num",
                cell: (one) => (one.ltv === null ? "–" : <Money amount={one.ltv} currency={one.currency} />),
              },
              ...Array.from({ length: last }, (_, at) => came(at + 1)),
            ]}
          />
        </Card>
      )}
    </Page>
  );
}

/** How many of a cohort ordered again so many months later. */
function came(month: number): Column<Cohort> {
  return {
    title: t("cohorts.month", { month }),
    kind: "num",
    cell: (one) => {
      const again = one.months.find((each) => each.month === month);
      return again ? percent(again.customers / one.customers, 0) : "";
    },
  };
}
