/** The promoter's first page: what there is, what was paid, the statements that prove it. */

import { usePages } from "../api";
import { t } from "../i18n";
import type { Payout } from "../types";
import { Balances } from "../ui/balances";
import { Card, Page, Status } from "../ui/basics";
import { money } from "../ui/columns";
import { Statements } from "../ui/statements";
import { List } from "../ui/table";
import type { ViewProps } from "../views";

export function Earnings({ context }: ViewProps) {
  const payouts = usePages<Payout>("payouts");
  return (
    <Page title={t("earnings.title", { promoter: context.subject })} intro={t("earnings.intro")}>
      <Balances promoter={context.subject} />
      <Card title={t("earnings.words")}>
        <dl class="sum" style={{ gridTemplateColumns: "auto 1fr" }}>
          {(["pending", "available", "reserved", "owed"] as const).map((kind) => (
            <>
              <dt>{t(`balance.${kind}`)}</dt>
              <dd style={{ textAlign: "left" }}>{t(`balance.${kind}_what`)}</dd>
            </>
          ))}
        </dl>
      </Card>
      <Card title={t("payouts.title")}>
        <List
          caption={t("payouts.title")}
          pages={payouts}
          rowKey={(payout) => payout.id}
          empty={t("payouts.none_yet")}
          columns={[
            { title: t("payouts.date"), cell: (payout) => payout.date },
            money(t("amount"), "amount"),
            money(t("tax"), "tax"),
            money(t("payouts.net"), "net"),
            { title: t("status"), cell: (payout) => <Status of={payout.status} /> },
          ]}
        />
      </Card>
      <Statements promoter={context.subject} />
    </Page>
  );
}
