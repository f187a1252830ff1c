/** A promoter's signed statements, to download and prove. */

import { query, useApi } from "../api";
import { t } from "../i18n";
import { Card, Empty, Trouble } from "./basics";
import { Table } from "./table";

interface Statement {
  month: string;
  first: number;
  last: number;
  accounts: { account: string; currency: string; opening: string; closing: string }[];
  lines: unknown[];
}

export function Statements({ promoter }: { promoter: string }) {
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
