/** The leaderboard by week or month, and what each tier of promoters has sold. */

import { useState } from "preact/hooks";
import { query, useApi } from "../api";
import { count } from "../format";
import { said, t } from "../i18n";
import { prefs } from "../prefs";
import { to } from "../route";
import { Card, Money, Page, Segments, Trouble, Waiting } from "../ui/basics";
import { money } from "../ui/columns";
import { useCurrency } from "../ui/currency";
import { FigureChoice } from "../ui/figures";
import { Table } from "../ui/table";

interface Leader {
  rank: number;
  promoter: string;
  name: string;
  value: number | string;
  before: number | string;
  change: number | string;
  rank_before: number | null;
}

interface Board {
  from: string;
  currency: string | null;
  items: Leader[];
}

interface Level {
  tier: string;
  from_sales: string;
  promoters: number;
  team_size: number;
  orders: number;
  currency: string | null;
  sales: string | null;
  commission: string | null;
}

interface Levels {
  from: string;
  currency: string;
  items: Level[];
}

type Period = "week" | "month";
const METRICS = ["sales", "orders", "commission", "clicks"] as const;
type Metric = (typeof METRICS)[number];

export function Leaderboard() {
  const [period, setPeriod] = useState<Period>("month");
  const [metric, setMetric] = useState<Metric>("sales");
  const { currency, asked: told, choice } = useCurrency();
  const asked = { period, metric, tz: prefs.tz, currency: told };
  const board = useApi<Board>(currency ? `reports/leaderboard${query(asked)}` : "");
  const since = board.data?.from;
  const levels = useApi<Levels>(
    since ? `reports/levels${query({ from: since, tz: prefs.tz, currency })}` : "",
  );
  const options = [
    ["week", t("leaderboard.week")],
    ["month", t("leaderboard.month")],
  ] as const;
  return (
    <Page
      title={t("leaderboard.title")}
      intro={t("leaderboard.intro")}
      actions={
        <>
          <FigureChoice of={METRICS} value={metric} onChange={setMetric} />
          {choice}
          <Segments label={t("span")} value={period} options={options} onChange={setPeriod} />
        </>
      }
    >
      <Card title={t(`leaderboard.${period}`)}>
        <Trouble error={board.error} />
        {!board.data && !board.error && <Waiting />}
        {board.data && !board.error && <Places board={board.data} metric={metric} />}
      </Card>
      {board.data && (
        <Card title={t("levels.title")}>
          <p class="dim">{t("levels.intro")}</p>
          <Trouble error={levels.error} />
          {levels.data && <Tiers of={levels.data} />}
        </Card>
      )}
    </Page>
  );
}

function Places({ board, metric }: { board: Board; metric: Metric }) {
  const value = (of: number | string) =>
    typeof of === "number" ? count(of) : <Money amount={of.replace("-", "−")} currency={board.currency} />;
  return (
    <Table
      caption={t("leaderboard.title")}
      rows={board.items}
      rowKey={(place) => place.promoter}
      empty={t("leaderboard.none")}
      columns={[
        { title: t("leaderboard.rank"), cell: (place) => place.rank },
        {
          title: t("promoter"),
          cell: (place) => <a href={to("promoters", place.promoter)}>{place.promoter}</a>,
        },
        { title: t("name"), cell: (place) => place.name },
        { title: t(`figure.${metric}`), kind: "num", cell: (place) => value(place.value) },
        { title: t("leaderboard.before"), kind: "num", cell: (place) => value(place.before) },
        { title: t("leaderboard.change"), kind: "num", cell: (place) => value(place.change) },
        {
          title: t("leaderboard.rank_before"),
          kind: "num",
          cell: (place) => (place.rank_before === null ? "–" : place.rank_before),
        },
      ]}
    />
  );
}

function Tiers({ of }: { of: Levels }) {
  return (
    <Table
      caption={t("levels.title")}
      rows={of.items}
      rowKey={(level) => level.tier}
      columns={[
        { title: t("tier"), cell: (level) => said("tier", level.tier) },
        {
          title: t("rank.from"),
          kind: "num",
          cell: (level) => <Money amount={level.from_sales} currency={of.currency} />,
        },
        { title: t("levels.promoters"), kind: "num", cell: (level) => count(level.promoters) },
        { title: t("levels.team"), kind: "num", cell: (level) => count(level.team_size) },
        { title: t("figure.orders"), kind: "num", cell: (level) => count(level.orders) },
        money(t("figure.sales"), "sales"),
        money(t("figure.commission"), "commission"),
      ]}
    />
  );
}
