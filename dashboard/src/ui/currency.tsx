/** The currency of figures that are of one: a choice only where merchants have several. */

import { useState } from "preact/hooks";
import { usePages } from "../api";
import { t } from "../i18n";
import type { Merchant } from "../types";
import { Choice } from "./basics";

/** `currency` is empty until the merchants are known; `asked` is what reports are told: nothing where there is one. */
export function useCurrency() {
  const merchants = usePages<Merchant>("merchants?limit=500");
  const [chosen, setChosen] = useState("");
  const all = [...new Set(merchants.data?.map((merchant) => merchant.currency))].sort();
  const currency = chosen || (all[0] ?? "");
  const options = all.map((code) => [code, code] as const);
  const choice = all.length > 1 && (
    <Choice label={t("currency")} value={currency} options={options} onChange={setChosen} />
  );
  return { currency, asked: all.length > 1 ? currency : "", choice };
}
