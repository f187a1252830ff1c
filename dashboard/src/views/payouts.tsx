/** Payouts: reserve, then paid or failed; a batch as CSV for the bank. */

import { useState } from "preact/hooks";
import { api, query, usePages } from "../api";
import { short, time } from "../format";
import { t } from "../i18n";
import { to } from "../route";
import type { Payout } from "../types";
import { Card, Dialog, Doing, Field, Money, Page, Status } from "../ui/basics";
import { money } from "../ui/columns";
import { StatusChoice } from "../ui/fields";
import { List } from "../ui/table";
import type { ViewProps } from ".";

const STATUSES = ["", "reserved", "paid", "failed", "bounced"] as const;
type End = "paid" | "failed";

export function Payouts({ context }: ViewProps) {
  const [status, setStatus] = useState<(typeof STATUSES)[number]>("");
  const payouts = usePages<Payout>(`payouts${query({ status })}`);
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<{ payout: Payout; end: End }>();
  const done = () => {
    setMaking(false);
    setEnding(undefined);
    payouts.reload();
  };
  return (
    <Page
      title={t("payouts.title")}
      intro={t("payouts.intro")}
      actions={
        <>
          <a class="button" href={`/v1/payouts/export${query({ status })}`} download>
            {t("payouts.export")}
          </a>
          {context.decides && (
            <button type="button" class="main" onClick={() => setMaking(true)}>
              {t("payouts.make")}
            </button>
          )}
        </>
      }
    >
      <Card
        title={t("payouts.list")}
        actions={<StatusChoice of={STATUSES} value={status} onChange={setStatus} />}
      >
        <List
          caption={t("payouts.list")}
          pages={payouts}
          rowKey={(payout) => payout.id}
          empty={t("payouts.none")}
          columns={[
            { title: t("payouts.date"), cell: (payout) => payout.date },
            {
              title: t("promoter"),
              cell: (payout) => <a href={to("promoters", payout.promoter)}>{payout.promoter}</a>,
            },
            money(t("amount"), "amount"),
            money(t("tax"), "tax"),
            money(t("payouts.net"), "net"),
            { title: t("status"), cell: (payout) => <Status of={payout.status} /> },
            { title: t("created"), cell: (payout) => time(payout.created) },
            {
              title: t("decision"),
              cell: (payout) =>
                context.decides && <Ends payout={payout} onEnd={(end) => setEnding({ payout, end })} />,
            },
          ]}
        />
      </Card>
      {making && <Make onDone={done} onClose={() => setMaking(false)} />}
      {ending && (
        <Dialog title={t(`payouts.${ending.end}`)} onClose={() => setEnding(undefined)}>
          <p>
            {ending.payout.promoter}: <Money amount={ending.payout.net} currency={ending.payout.currency} /> (
            {short(ending.payout.id)})
          </p>
          <p>{t(`payouts.${ending.end}_what`)}</p>
          <Doing
            button={t(`payouts.${ending.end}`)}
            danger={ending.end === "failed"}
            onDo={() => api("POST", `payouts/${ending.payout.id}/${ending.end}`, {}).then(done)}
            onCancel={() => setEnding(undefined)}
          />
        </Dialog>
      )}
    </Page>
  );
}

function Ends({ payout, onEnd }: { payout: Payout; onEnd: (end: End) => void }) {
  const ends: End[] =
    payout.status === "reserved" ? ["paid", "failed"] : payout.status === "paid" ? ["failed"] : [];
  return (
    <span class="row">
      {ends.map((end) => (
        <button key={end} type="button" onClick={() => onEnd(end)}>
          {t(end === "failed" && payout.status === "paid" ? "payouts.bounced" : `payouts.${end}`)}
        </button>
      ))}
    </span>
  );
}

function Make({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [promoter, setPromoter] = useState("");
  const [currency, setCurrency] = useState("");
  const [amount, setAmount] = useState("");
  const body = {
    promoter: promoter.trim(),
    ...(currency.trim() ? { currency: currency.trim().toUpperCase() } : {}),
    ...(amount.trim() ? { amount: amount.trim() } : {}),
  };
  return (
    <Dialog title={t("payouts.make")} onClose={onClose}>
      <p>{t("payouts.make_what")}</p>
      <Doing
        button={t("payouts.make")}
        onDo={() => api("POST", "payouts", body).then(onDone)}
        onCancel={onClose}
      >
        <Field label={t("promoter")}>
          <input required value={promoter} onInput={(event) => setPromoter(event.currentTarget.value)} />
        </Field>
        <Field label={t("currency")} hint={t("payouts.currency_hint")}>
          <input
            pattern="[A-Za-z]{3}"
            value={currency}
            onInput={(event) => setCurrency(event.currentTarget.value)}
          />
        </Field>
        <Field label={t("amount")} hint={t("payouts.all")}>
          <input
            inputMode="decimal"
            value={amount}
            onInput={(event) => setAmount(event.currentTarget.value)}
          />
        </Field>
      </Doing>
    </Dialog>
  );
}
