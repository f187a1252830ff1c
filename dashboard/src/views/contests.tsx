/** Contests: prizes for the first promoters of a period; where they stand, and who was paid. */

import { useState } from "preact/hooks";
import { api, useApi, usePages } from "../api";
import { count, dayAgo, time } from "../format";
import { t } from "../i18n";
import { prefs } from "../prefs";
import { to } from "../route";
import {
  Card,
  Choice,
  Dialog,
  Doing,
  Field,
  Money,
  Page,
  Stats,
  Status,
  Trouble,
  Waiting,
} from "../ui/basics";
import { type Contest, figure, prizes, useStandings } from "../ui/contest";
import { useCurrency } from "../ui/currency";
import { Code } from "../ui/fields";
import { List, Table } from "../ui/table";
import type { ViewProps } from ".";

const METRICS = ["sales", "orders", "commission", "clicks"] as const;

export function Contests({ route, context }: ViewProps) {
  return route.part ? <One id={route.part} decides={context.decides} /> : <All decides={context.decides} />;
}

function All({ decides }: { decides: boolean }) {
  const contests = usePages<Contest>("contests");
  const [adding, setAdding] = useState(false);
  return (
    <Page
      title={t("contests.title")}
      intro={t("contests.intro")}
      actions={
        decides && (
          <button type="button" class="main" onClick={() => setAdding(true)}>
            {t("contests.add")}
          </button>
        )
      }
    >
      <Card title={t("contests.list")}>
        <List
          caption={t("contests.list")}
          pages={contests}
          rowKey={(one) => one.id}
          empty={t("contests.none")}
          columns={[
            { title: t("name"), cell: (one) => <a href={to("contests", one.id)}>{one.name}</a> },
            { title: t("contests.from"), cell: (one) => time(one.from) },
            { title: t("contests.to"), cell: (one) => time(one.to) },
            { title: t("contests.metric"), cell: (one) => t(`figure.${one.metric}`) },
            { title: t("contests.prizes"), kind: "wrap", cell: prizes },
            { title: t("status"), cell: (one) => <Status of={one.status} /> },
          ]}
        />
      </Card>
      {adding && (
        <Add
          onDone={() => {
            setAdding(false);
            contests.reload();
          }}
          onClose={() => setAdding(false)}
        />
      )}
    </Page>
  );
}

function Add({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [form, setForm] = useState({ id: "", name: "", from: dayAgo(0), to: dayAgo(-7), prizes: "" });
  const [metric, setMetric] = useState<(typeof METRICS)[number]>("sales");
  const { currency, choice } = useCurrency();
  const written = (name: keyof typeof form) => ({
    required: true,
    value: form[name],
    onInput: (event: preact.TargetedInputEvent<HTMLInputElement>) =>
      setForm({ ...form, [name]: event.currentTarget.value }),
  });
  const make = () =>
    api("POST", "contests", {
      ...form,
      id: form.id.trim(),
      name: form.name.trim(),
      prizes: form.prizes.split(/[\s,，、;]+/).filter(Boolean),
      metric,
      currency,
      tz: prefs.tz,
    }).then(onDone);
  return (
    <Dialog title={t("contests.add")} onClose={onClose}>
      <Doing button={t("save")} onDo={make} onCancel={onClose}>
        <Code label={t("code")} value={form.id} onChange={(id) => setForm({ ...form, id })} />
        <Field label={t("name")}>
          <input {...written("name")} />
        </Field>
        <div class="grid">
          <Field label={t("contests.first")}>
            <input type="date" {...written("from")} />
          </Field>
          <Field label={t("contests.last")}>
            <input type="date" {...written("to")} />
          </Field>
        </div>
        <Choice
          label={t("contests.metric")}
          value={metric}
          options={METRICS.map((one) => [one, t(`figure.${one}`)] as const)}
          onChange={setMetric}
        />
        {choice}
        <Field label={t("contests.prizes_in", { currency })} hint={t("contests.prizes_hint")}>
          <input {...written("prizes")} />
        </Field>
      </Doing>
    </Dialog>
  );
}

function One({ id, decides }: { id: string; decides: boolean }) {
  const path = `contests/${encodeURIComponent(id)}`;
  const contest = useApi<Contest>(path);
  const [closing, setClosing] = useState(false);
  if (contest.error)
    return (
      <Page title={id}>
        <Trouble error={contest.error} />
      </Page>
    );
  if (!contest.data) return <Waiting />;
  const { data } = contest;
  const over = Date.parse(data.to) <= Date.now();
  return (
    <Page
      title={data.name}
      intro={t(over ? "contests.was" : "contests.runs", { from: time(data.from), to: time(data.to) })}
      actions={
        <>
          <a href="#/contests">{t("back")}</a>
          <Status of={data.status} />
          {decides && over && data.status === "open" && (
            <button type="button" class="main" onClick={() => setClosing(true)}>
              {t("contests.award")}
            </button>
          )}
        </>
      }
    >
      <Stats
        items={[
          [t("contests.metric"), t(`figure.${data.metric}`)],
          ...data.prizes.map((amount, at): [string, preact.VNode] => [
            t("contests.place", { place: at + 1 }),
            <Money key={at} amount={amount} currency={data.currency} />,
          ]),
        ]}
      />
      {data.status === "closed" ? <Winners of={data} /> : <Standings of={data} />}
      {closing && (
        <Dialog title={t("contests.award")} onClose={() => setClosing(false)}>
          <p>{t("contests.award_what")}</p>
          <Doing
            button={t("contests.award")}
            onDo={() =>
              api("POST", `${path}/close`).then(() => {
                setClosing(false);
                contest.reload();
              })
            }
            onCancel={() => setClosing(false)}
          />
        </Dialog>
      )}
    </Page>
  );
}

function Winners({ of }: { of: Contest }) {
  return (
    <Card title={t("contests.winners")}>
      <Table
        caption={t("contests.winners")}
        rows={of.winners}
        rowKey={(won) => String(won.place)}
        empty={t("contests.nobody")}
        columns={[
          { title: t("leaderboard.rank"), cell: (won) => won.rank },
          { title: t("promoter"), cell: (won) => <a href={to("promoters", won.promoter)}>{won.promoter}</a> },
          { title: t(`figure.${of.metric}`), kind: "num", cell: (won) => figure(won.value, of.currency) },
          {
            title: t("contests.prize"),
            kind: "num",
            cell: (won) => <Money amount={won.amount} currency={of.currency} />,
          },
        ]}
      />
    </Card>
  );
}

function Standings({ of }: { of: Contest }) {
  const board = useStandings(of);
  return (
    <Card title={t("contests.standings")}>
      <Trouble error={board.error} />
      {!board.data && !board.error && <Waiting />}
      {board.data && (
        <Table
          caption={t("contests.standings")}
          rows={board.data.items}
          rowKey={(place) => place.promoter}
          empty={t("contests.no_standings")}
          columns={[
            { title: t("leaderboard.rank"), cell: (place) => count(place.rank) },
            {
              title: t("promoter"),
              cell: (place) => <a href={to("promoters", place.promoter)}>{place.promoter}</a>,
            },
            { title: t("name"), cell: (place) => place.name },
            {
              title: t(`figure.${of.metric}`),
              kind: "num",
              cell: (place) => figure(place.value, of.currency),
            },
          ]}
        />
      )}
    </Card>
  );
}
