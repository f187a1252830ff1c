/** Why an order pays whom: the touches with their verdicts, the rule, the arithmetic. */

import { percent, short, time } from "../format";
import { said, t } from "../i18n";
import type { Why, WhySplit } from "../types";
import { Card, Money, Status } from "./basics";
import { Table } from "./table";

export function WhyParts({ why }: { why: Why }) {
  return (
    <>
      <Touches why={why} />
      <div class="cols">
        {why.split.map((part) => (
          <Split key={part.promoter} part={part} why={why} />
        ))}
        <After why={why} />
      </div>
    </>
  );
}

function Touches({ why }: { why: Why }) {
  const found = why.found_by ? t("why.found_by", { by: said("found", why.found_by) }) : "";
  return (
    <Card
      title={t("why.touches")}
      actions={
        <span class="dim">
          {t("why.model", { model: said("model", why.model) })} {found}
        </span>
      }
    >
      <Table
        caption={t("why.touches")}
        rows={why.candidates}
        rowKey={(touch) => `${touch.id}/${touch.kind}`}
        empty={
          <>
            <p>{said("order", why.reason, why.why)}</p>
            <p>{t("why.no_touches")}</p>
          </>
        }
        columns={[
          { title: t("time"), cell: (touch) => time(touch.at) },
          { title: t("kind"), cell: (touch) => said("touch_kind", touch.kind) },
          { title: t("promoter"), cell: (touch) => touch.promoter },
          {
            title: t("why.counts"),
            cell: (touch) => (
              <span class={`tag ${touch.counted ? "good" : ""}`}>{t(touch.counted ? "yes" : "no")}</span>
            ),
          },
          {
            title: t("why.weight"),
            kind: "num",
            cell: (touch) => (touch.weight ? percent(touch.weight) : "–"),
          },
          { title: t("reason"), kind: "wrap", cell: (touch) => said("touch", touch.code, touch.why) },
          { title: t("id"), cell: (touch) => <span class="mono dim">{short(touch.id)}</span> },
        ]}
      />
      {why.other_candidates > 0 && <p class="more dim">{t("why.others", { count: why.other_candidates })}</p>}
    </Card>
  );
}

function Split({ part, why }: { part: WhySplit; why: Why }) {
  const money = (amount: string | null | undefined) => <Money amount={amount} currency={why.currency} />;
  const lines: [string, preact.ComponentChildren][] = [];
  const zero = (amount?: string) => !amount || /^[0.]*$/.test(amount);
  if (part.weight !== undefined && part.weight < 1) lines.push([t("why.weight"), percent(part.weight)]);
  if (part.month_total && !zero(part.month_total))
    lines.push([t("why.month_total"), money(part.month_total)]);
  if (part.tier) lines.push([t("tier"), said("tier", part.tier)]);
  for (const rate of part.rates ?? [])
    lines.push([t("why.rate", { percent: rate.percent }), money(rate.amount)]);
  if (part.base) lines.push([t("why.base"), money(part.base)]);
  for (const bonus of part.bonuses ?? []) if (bonus) lines.push([t("why.bonus"), money(bonus)]);
  if (part.multiplier && part.multiplier !== "1") lines.push([t("why.multiplier"), `× ${part.multiplier}`]);
  if (!zero(part.tier_bonus)) lines.push([t("why.tier_bonus"), money(part.tier_bonus)]);
  if (part.max_per_order) lines.push([t("why.max_per_order"), money(part.max_per_order)]);
  if (part.ceiling) lines.push([t("why.ceiling"), money(part.ceiling)]);
  return (
    <Card title={part.promoter ? t("why.split_of", { promoter: part.promoter }) : t("why.split")}>
      <dl class="sum">
        {lines.map(([label, value]) => (
          <>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </>
        ))}
        {part.pool && (
          <>
            <dt class="total">{t("why.pool")}</dt>
            <dd class="total">{money(part.pool)}</dd>
          </>
        )}
        {part.levels.map((level) => (
          <>
            <dt>
              {t("why.level", { level: level.level })}{" "}
              {level.promoter || (level.code === "missing" ? "" : t("someone"))}{" "}
              {level.code && <span class="tag">{said("level", level.code, level.why ?? "")}</span>}
            </dt>
            <dd>{money(level.amount)}</dd>
          </>
        ))}
        {part.platform && (
          <>
            <dt>{t("platform")}</dt>
            <dd>{money(part.platform)}</dd>
          </>
        )}
      </dl>
    </Card>
  );
}

function After({ why }: { why: Why }) {
  const rule = why.rule;
  return (
    <Card title={t("why.after")}>
      <ul class="steps">
        <li>{t("why.ordered", { time: time(why.at) })}</li>
        {rule && <li>{t("why.rule", { version: rule.version, since: time(rule.effective_from) })}</li>}
        <li>
          {t("status")}: <Status of={why.status} /> {said("order", why.reason, why.why)}
        </li>
        {why.claims > 0 && <li>{t("why.claims", { count: why.claims })}</li>}
        {why.refunds.map((refund) => (
          <li key={refund.step}>
            {t("refunded")}: <Money amount={refund.amount} currency={why.currency} />
          </li>
        ))}
        {why.due && <li>{t(why.released ? "why.was_due" : "why.due", { time: time(why.due) })}</li>}
        <li>{t(why.released ? "why.released" : "why.not_released")}</li>
      </ul>
    </Card>
  );
}
