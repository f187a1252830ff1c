/** Where the promoter stands: tier, what is missing to the next, what each tier earns, the rank. */

import { query, useApi, usePages } from "../api";
import { count, grouped, time } from "../format";
import { said, t } from "../i18n";
import { prefs } from "../prefs";
import type { Product } from "../types";
import { Card, Empty, Money, Page, Stats, Status, Trouble, Waiting } from "../ui/basics";
import { type Contest, figure, prizes, useStandings } from "../ui/contest";
import { ruleText } from "../ui/rule";
import { List, Table } from "../ui/table";
import type { ViewProps } from "../views";

interface Standing {
  currency: string;
  tier: string;
  sales: string;
  next: string | null;
  missing: string | null;
  tiers: { tier: string; sales: string }[];
}

interface Board {
  items: { rank: number; promoter: string }[];
}

export function Rank({ context }: ViewProps) {
  const standing = useApi<{ items: Standing[] }>(`promoters/${encodeURIComponent(context.subject)}/tiers`);
  const products = usePages<Product>("products?limit=500");
  const board = useApi<Board>(
    `reports/leaderboard${query({ period: "month", metric: "orders", tz: prefs.tz })}`,
  );
  const contests = usePages<Contest>("contests");
  const mine = board.data?.items.find((item) => item.promoter === context.subject);
  return (
    <Page title={t("rank.title")} intro={t("rank.intro")}>
      <Trouble error={standing.error} />
      {!standing.data && !standing.error && <Waiting />}
      {standing.data?.items.map((item) => (
        <Stats
          key={item.currency}
          items={[
            [t("rank.month"), mine ? `#${count(mine.rank)}` : "–"],
            [t("tier"), said("tier", item.tier)],
            [t("rank.sales"), <Money key="sales" amount={item.sales} currency={item.currency} />],
            item.next
              ? [
                  t("rank.missing", { tier: said("tier", item.next) }),
                  <Money key="missing" amount={item.missing} currency={item.currency} />,
                ]
              : [t("rank.next"), t("rank.highest")],
          ]}
        />
      ))}
      {standing.data && (
        <>
          {standing.data.items.map((item) => (
            <Card key={item.currency} title={t("rank.tiers")}>
              <Progress of={item} />
            </Card>
          ))}
          <Card title={t("rank.earns")}>
            {products.data?.length ? <Earns products={products.data} /> : <Empty>{t("products.none")}</Empty>}
          </Card>
        </>
      )}
      {board.error && <Trouble error={board.error} />}
      <Card title={t("contests.title")}>
        <List
          caption={t("contests.title")}
          pages={contests}
          rowKey={(contest) => contest.id}
          empty={t("contests.none")}
          columns={[
            { title: t("name"), cell: (contest) => contest.name },
            { title: t("contests.from"), cell: (contest) => time(contest.from) },
            { title: t("contests.to"), cell: (contest) => time(contest.to) },
            { title: t("contests.metric"), cell: (contest) => t(`figure.${contest.metric}`) },
            { title: t("contests.prizes"), kind: "wrap", cell: prizes },
            { title: t("status"), cell: (contest) => <Status of={contest.status} /> },
            { title: t("contests.mine"), cell: (contest) => <Mine of={contest} /> },
          ]}
        />
      </Card>
    </Page>
  );
}

/** The own place as it is now, or what was won. */
function Mine({ of }: { of: Contest }) {
  return of.status === "open" ? <Place of={of} /> : of.winners[0] ? <Won of={of} /> : <>–</>;
}

function Won({ of }: { of: Contest }) {
  const [won] = of.winners;
  return (
    <>
      #{won?.rank} · <Money amount={won?.amount} currency={of.currency} />
    </>
  );
}

function Place({ of }: { of: Contest }) {
  const [place] = useStandings(of).data?.items ?? [];
  if (!place) return <>–</>;
  return (
    <>
      #{count(place.rank)} · {figure(place.value, of.currency)}
    </>
  );
}

function Progress({ of }: { of: Standing }) {
  return (
    <dl class="funnel">
      {of.tiers.map(({ tier, sales }) => {
        const share = Number(sales) ? Math.min(1, Number(of.sales) / Number(sales)) : 1;
        return (
          <div key={tier}>
            <dt>
              {said("tier", tier)} {tier === of.tier && <span class="tag good">{t("rank.here")}</span>}
            </dt>
            <dd class="bar">
              <i style={{ width: `${100 * share}%` }} />
            </dd>
            <dd>
              {t("rank.from")} {grouped(sales)} <span class="cur">{of.currency}</span>
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

const TIERS = ["bronze", "silver", "gold", "diamond"] as const;

function Earns({ products }: { products: Product[] }) {
  return (
    <Table
      caption={t("rank.earns")}
      rows={products}
      rowKey={(product) => product.id}
      columns={[
        { title: t("product"), cell: (product) => product.name || product.id },
        { title: t("rule"), cell: (product) => ruleText(product.commission) },
        ...TIERS.map((tier) => ({
          title: said("tier", tier),
          kind: "num" as const,
          cell: (product: Product) => {
            const bonus = product.commission.promoter_tier_bonus?.[tier];
            return bonus ? `+${bonus} %` : "–";
          },
        })),
      ]}
    />
  );
}
