/** What the contests' view and a promoter's own page show alike. */

import { query, useApi } from "../api";
import { count, grouped } from "../format";
import { Money } from "./basics";

const SHOWN = 20;

export interface Contest {
  id: string;
  name: string;
  from: string;
  to: string;
  tz: string;
  metric: "sales" | "orders" | "commission" | "clicks";
  currency: string;
  status: "open" | "closed";
  prizes: string[];
  winners: { place: number; rank: number; promoter: string; value: number | string; amount: string }[];
}

interface Board {
  items: { rank: number; promoter: string; name: string; value: number | string }[];
}

/** The places as they are now; a promoter sees the own one alone. */
export function useStandings({ from, to, tz, metric, currency, prizes }: Contest) {
  const of_money = metric === "sales" || metric === "commission";
  const limit = Math.max(SHOWN, prizes.length);
  const asked = { from, to, tz, metric, limit, currency: of_money ? currency : "" };
  return useApi<Board>(`reports/leaderboard${query(asked)}`);
}

/** Its currency stands once, at the end. */
export const prizes = ({ prizes, currency }: Contest) => (
  <>
    {prizes.map(grouped).join(" · ")} <span class="cur">{currency}</span>
  </>
);

/** A count, or money as text. */
export const figure = (value: number | string, currency: string) =>
  typeof value === "number" ? count(value) : <Money amount={value} currency={currency} />;
