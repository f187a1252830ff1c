/** A promoter's balances: what each word means stands beside it. */

import { useApi } from "../api";
import { t } from "../i18n";
import type { BalanceItem } from "../types";
import { Card, Empty, Money, Stats, Trouble } from "./basics";

export function Balances({ promoter }: { promoter: string }) {
  const { data, error } = useApi<{ items: BalanceItem[] }>(
    `promoters/${encodeURIComponent(promoter)}/balance`,
  );
  if (error) return <Trouble error={error} />;
  if (!data) return null;
  if (!data.items.length)
    return (
      <Card title={t("balance.title")}>
        <Empty>{t("balance.none")}</Empty>
      </Card>
    );
  return (
    <>
      {data.items.map((item) => (
        <Stats
          key={item.currency}
          items={(["pending", "available", "reserved", "paid", "tax", "owed"] as const).map((kind) => [
            t(`balance.${kind}`),
            <Money key={kind} amount={item[kind]} currency={item.currency} />,
          ])}
        />
      ))}
    </>
  );
}
