/** Columns that several tables have. */

import { short } from "../format";
import { t } from "../i18n";
import { to } from "../route";
import { Money } from "./basics";
import type { Column } from "./table";

/** An amount in the row's own currency. */
export function money<N extends string>(
  title: string,
  name: N,
): Column<{ currency: string | null } & Record<N, string | null | undefined>> {
  return { title, kind: "num", cell: (row) => <Money amount={row[name]} currency={row.currency} /> };
}

interface Order {
  id: string;
  order_id: string;
  product: string;
  amount: string | null;
  currency: string;
}

/** Which order it is, of what and how much; `view` is where it is opened. */
export function ordered(view: "conversions" | "orders"): Column<Order>[] {
  return [
    {
      title: t("order"),
      cell: (row) => <a href={to(view, row.id)}>{row.order_id || short(row.id)}</a>,
    },
    { title: t("product"), cell: (row) => row.product },
    money(t("amount"), "amount"),
  ];
}
