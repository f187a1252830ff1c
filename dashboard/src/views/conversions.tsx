/** Orders: the list, and one with its why and what can be decided about it. */

import { useState } from "preact/hooks";
import { api, freshKey, query, useApi, usePages } from "../api";
import { short, time } from "../format";
import { said, t } from "../i18n";
import { to } from "../route";
import type { Conversion, Why } from "../types";
import { Card, Dialog, Doing, Field, Money, Page, Status, Trouble, Waiting } from "../ui/basics";
import { ordered } from "../ui/columns";
import { Reason, StatusChoice } from "../ui/fields";
import { List, Table } from "../ui/table";
import { WhyParts } from "../ui/why";
import type { ViewProps } from ".";

const STATUSES = ["", "pending", "approved", "rejected", "refunded"] as const;

export function Conversions({ route, context }: ViewProps) {
  return route.part ? <One id={route.part} decides={context.decides} /> : <All />;
}

function All() {
  const [status, setStatus] = useState<(typeof STATUSES)[number]>("");
  const [order, setOrder] = useState("");
  const [product, setProduct] = useState("");
  const pages = usePages<Conversion>(
    `conversions${query({ status, order_id: order.trim(), product: product.trim() })}`,
  );
  return (
    <Page title={t("conversions.title")} intro={t("conversions.intro")}>
      <Card
        title={t("conversions.newest")}
        actions={
          <>
            <StatusChoice of={STATUSES} value={status} onChange={setStatus} />
            <Field label={t("order")}>
              <input value={order} onChange={(event) => setOrder(event.currentTarget.value)} />
            </Field>
            <Field label={t("product")}>
              <input value={product} onChange={(event) => setProduct(event.currentTarget.value)} />
            </Field>
          </>
        }
      >
        <List
          caption={t("conversions.newest")}
          pages={pages}
          rowKey={(row) => row.id}
          empty={t("conversions.none")}
          columns={[
            { title: t("time"), cell: (row) => time(row.created) },
            ...ordered("conversions"),
            {
              title: t("credits"),
              kind: "wrap",
              cell: (row) =>
                row.credits.length ? (
                  row.credits.map((credit) => `${credit.promoter} ${credit.amount}`).join(" · ")
                ) : (
                  <span class="dim">{t("nobody")}</span>
                ),
            },
            { title: t("status"), cell: (row) => <Status of={row.status} /> },
            { title: t("reason"), kind: "wrap", cell: (row) => row.reason && said("order", row.reason) },
          ]}
        />
      </Card>
    </Page>
  );
}

type Step = "approve" | "reject" | "refund";

function One({ id, decides }: { id: string; decides: boolean }) {
  const order = useApi<Conversion>(`conversions/${id}`);
  const why = useApi<Why>(`conversions/${id}/why`);
  const [step, setStep] = useState<Step>();
  if (order.error)
    return (
      <Page title={id}>
        <Trouble error={order.error} />
      </Page>
    );
  if (!order.data) return <Waiting />;
  const { status, order_id, reason, currency } = order.data;
  const steps: Step[] =
    status === "pending" ? ["approve", "reject"] : status === "approved" ? ["refund", "reject"] : [];
  const decided = () => {
    setStep(undefined);
    order.reload();
    why.reload();
  };
  return (
    <Page
      title={t("conversion.title", { order: order_id || short(id) })}
      intro={reason ? said("order", reason) : t("order.none")}
      actions={
        <>
          <a href="#/conversions">{t("back")}</a>
          <Status of={status} />
          {decides &&
            steps.map((one) => (
              <button key={one} type="button" onClick={() => setStep(one)}>
                {t(`conversion.${one}`)}
              </button>
            ))}
        </>
      }
    >
      <Shares order={order.data} />
      <Trouble error={why.error} />
      {why.data && <WhyParts why={why.data} />}
      {step && (
        <Decide step={step} id={id} currency={currency} onDone={decided} onClose={() => setStep(undefined)} />
      )}
    </Page>
  );
}

function Shares({ order }: { order: Conversion }) {
  const { currency, credits, platform } = order;
  const lines = [
    ...credits,
    ...(platform === undefined ? [] : [{ promoter: "", level: 0, via: "", weight: 1, amount: platform }]),
  ];
  return (
    <Card title={t("conversion.shares")} actions={<Amounts order={order} />}>
      <Table
        caption={t("conversion.shares")}
        rows={lines}
        rowKey={(line) => `${line.promoter}/${line.level}/${line.via}`}
        empty={t("conversion.no_shares")}
        columns={[
          { title: t("level"), cell: (line) => line.level || "–" },
          {
            title: t("promoter"),
            cell: (line) =>
              line.promoter ? <a href={to("promoters", line.promoter)}>{line.promoter}</a> : t("platform"),
          },
          { title: t("via"), cell: (line) => line.via },
          {
            title: t("stands_at"),
            kind: "num",
            cell: (line) => <Money amount={line.amount} currency={currency} />,
          },
        ]}
      />
    </Card>
  );
}

function Amounts({ order }: { order: Conversion }) {
  return (
    <span>
      {t("amount")} <Money amount={order.amount} currency={order.currency} />
      {Number(order.refunded) > 0 && (
        <span class="dim">
          {" · "}
          {t("refunded")} <Money amount={order.refunded} currency={order.currency} />
        </span>
      )}
    </span>
  );
}

function Decide(props: {
  step: Step;
  id: string;
  currency: string;
  onDone: () => void;
  onClose: () => void;
}) {
  const { step, id } = props;
  const [reason, setReason] = useState("");
  const [amount, setAmount] = useState("");
  const [key] = useState(freshKey); // of this dialog: sent twice is done once
  const body = {
    reason: reason.trim(),
    ...(step === "refund" && amount.trim() ? { amount: amount.trim() } : {}),
  };
  return (
    <Dialog title={t(`conversion.${step}`)} onClose={props.onClose}>
      <p>{t(`conversion.${step}_what`)}</p>
      <Doing
        button={t(`conversion.${step}`)}
        danger={step !== "approve"}
        onDo={() => api("POST", `conversions/${id}/${step}`, body, key).then(props.onDone)}
        onCancel={props.onClose}
      >
        {step === "refund" && (
          <Field label={t("amount_in", { currency: props.currency })} hint={t("conversion.refund_all")}>
            <input
              inputMode="decimal"
              value={amount}
              onInput={(event) => setAmount(event.currentTarget.value)}
            />
          </Field>
        )}
        <Reason hint={t("reason.hint")} value={reason} onChange={setReason} />
      </Doing>
    </Dialog>
  );
}
