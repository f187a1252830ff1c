/** The promoter's first page: what there is, what was paid, the statements that prove it. */

import { query, useApi, usePages } from "../api";
import { t } from "../i18n";
import type { Payout } from "../types";
import { Balances } from "../ui/balances";
import { Card, Empty, Page, Status, Trouble } from "../ui/basics";
import { money } from "../ui/columns";
import { List, Table } from "../ui/table";
import type { ViewProps } from "../views";

interface Statement {
  month: string;
  first: number;
  last: number;
  accounts: { account: string; currency: string; opening: string; closing: string }[];
  lines: unknown[];
}

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

function Statements({ promoter }: { promoter: string }) {
  const path = `promoters/${encodeURIComponent(promoter)}/statements`;
  const { data, error } = useApi<{ items: Statement[] }>(path);
  return (
    <Card title={t("statements.title")}>
      <p class="dim">{t("statements.intro")}</p>
      <Trouble error={error} />
      {data && !data.items.length && <Empty>{t("statements.none")}</Empty>}
      {data && data.items.length > 0 && (
        <Table
          caption={t("statements.title")}
          rows={data.items}
          rowKey={(one) => `${one.month}/${one.first}`}
          columns={[
            { title: t("month"), cell: (one) => one.month },
            { title: t("statements.lines"), kind: "num", cell: (one) => one.lines.length },
            {
              title: t("statements.closing"),
              kind: "wrap",
              cell: (one) =>
                one.accounts
                  .map((account) => `${account.account.split(":").at(-1)} ${account.closing}`)
                  .join(" · "),
            },
            {
              title: t("download"),
              cell: (one) => (
                <a
                  class="button"
                  href={`/v1/${path}${query({ month: one.month })}`}
                  download={`statement-${promoter}-${one.month}.json`}
                >
                  {t("download")}
                </a>
              ),
            },
          ]}
        />
      )}
    </Card>
  );
}
