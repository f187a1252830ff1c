/** The promoter's orders: what each earns, and why, or why not. */

import { useState } from "preact/hooks";
import { query, useApi, usePages } from "../api";
import { short, time } from "../format";
import { said, t } from "../i18n";
import type { Conversion, Why } from "../types";
import { Card, Field, Money, Page, Status, Trouble, Waiting } from "../ui/basics";
import { ordered } from "../ui/columns";
import { List } from "../ui/table";
import { WhyParts } from "../ui/why";
import type { ViewProps } from "../views";

export function Orders({ route }: ViewProps) {
  return route.part ? <One id={route.part} /> : <All />;
}

function All() {
  const [order, setOrder] = useState("");
  const pages = usePages<Conversion>(`conversions${query({ order_id: order.trim() })}`);
  return (
    <Page title={t("orders.title")} intro={t("orders.intro")}>
      <Card
        title={t("conversions.newest")}
        actions={
          <Field label={t("order")}>
            <input value={order} onChange={(event) => setOrder(event.currentTarget.value)} />
          </Field>
        }
      >
        <List
          caption={t("orders.title")}
          pages={pages}
          rowKey={(row) => row.id}
          empty={t(order ? "orders.not_yours" : "orders.none")}
          columns={[
            { title: t("time"), cell: (row) => time(row.created) },
            ...ordered("orders"),
            {
              title: t("orders.yours"),
              kind: "num",
              cell: (row) =>
                row.credits.map((credit) => (
                  <div key={credit.level}>
                    <span class="dim">{t("why.level", { level: credit.level })}</span>{" "}
                    <Money amount={credit.amount} currency={row.currency} />
                  </div>
                )),
            },
            { title: t("status"), cell: (row) => <Status of={row.status} /> },
            { title: t("reason"), kind: "wrap", cell: (row) => said("order", row.reason) },
          ]}
        />
      </Card>
    </Page>
  );
}

function One({ id }: { id: string }) {
  const why = useApi<Why>(`conversions/${id}/why`);
  if (why.error)
    return (
      <Page title={id}>
        <Trouble error={why.error} />
      </Page>
    );
  if (!why.data) return <Waiting />;
  return (
    <Page
      title={t("conversion.title", { order: why.data.order_id || short(id) })}
      intro={said("order", why.data.reason, why.data.why)}
      actions={
        <>
          <a href="#/orders">{t("back")}</a>
          <Status of={why.data.status} />
        </>
      }
    >
      <WhyParts why={why.data} />
    </Page>
  );
}
