/** The currency of figures that are of one: a choice only where merchants have several. */

import { usePages } from "../api";
import { t } from "../i18n";
import type { Merchant } from "../types";
import { Choice } from "./basics";

export function useCurrencies(): string[] {
  const merchants = usePages<Merchant>("merchants?limit=500");
  return [...new Set(merchants.data?.map((merchant) => merchant.currency))].sort();
}

export function CurrencyChoice(props: {
  all: string[];
  value: string;
  onChange: (currency: string) => void;
}) {
  if (props.all.length < 2) return null;
  const options = props.all.map((code) => [code, code] as const);
  return <Choice label={t("currency")} value={props.value} options={options} onChange={props.onChange} />;
}
