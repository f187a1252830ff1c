/** What happens now: one message a second. */

import { useEffect, useState } from "preact/hooks";
import { clock, count } from "../format";
import { said, t } from "../i18n";
import type { Live as State } from "../types";
import { Card, Page, Stats, Status, Waiting } from "../ui/basics";
import { Chart } from "../ui/chart";
import { money, ordered } from "../ui/columns";
import { Table } from "../ui/table";

function useLive(): { state: State | undefined; connected: boolean } {
  const [state, setState] = useState<State>();
  const [connected, setConnected] = useState(false);
  useEffect(() => {
    const source = new EventSource("/v1/live");
    source.onmessage = (event) => {
      setState(JSON.parse(event.data));
      setConnected(true);
    };
    source.onerror = () => setConnected(false); // the browser tries again by itself
    return () => source.close();
  }, []);
  return { state, connected };
}

export function Live() {
  const { state, connected } = useLive();
  const lights = (
    <span role="status">
      <span class={`dot ${connected ? "" : "off"}`} />
      {t(connected ? "live.connected" : "live.waiting")}
    </span>
  );
  return (
    <Page title={t("live.title")} intro={t("live.intro")} actions={lights}>
      {state ? <Now state={state} /> : <Waiting />}
    </Page>
  );
}

function Now({ state }: { state: State }) {
  const { minute, seconds } = state;
  const last = seconds.at(-1);
  const counted = minute.by_kind;
  const of = (kind: string) => count(counted[`${kind}.counted`] ?? 0);
  const refused = Object.entries(counted).filter(([name]) => !name.endsWith(".counted"));
  return (
    <>
      {state.problem && <div class="note bad">{said("error", state.problem)}</div>}
      <Stats
        items={[
          [t("live.hits_now"), count(last?.hits ?? 0), t("per_second")],
          [t("live.clicks"), of("click"), t("live.in_seconds", { seconds: minute.seconds })],
          [t("live.views"), of("view")],
          [t("live.conversions"), count(minute.conversions)],
          [t("live.lag"), state.lag === null ? "–" : state.lag.toFixed(1), "s"],
        ]}
      />
      <Card title={t("live.chart")}>
        <Chart
          label={t("live.chart")}
          at={seconds.map((second) => Date.parse(second.at) / 1000)}
          height={180}
          span={60}
          lines={[
            { label: t("live.hits"), values: seconds.map((second) => second.hits) },
            {
              label: t("live.conversions"),
              values: seconds.map((second) => second.conversions),
              colour: "second",
            },
          ]}
        />
        {refused.length > 0 && (
          <p class="dim">
            {t("live.not_counted")}:{" "}
            {refused.map(([name, hits]) => `${name.replace(".", " · ")} ${count(hits)}`).join(", ")}
          </p>
        )}
      </Card>
      <Card title={t("live.newest")}>
        <Table
          caption={t("live.newest")}
          rows={state.conversions}
          rowKey={(row) => row.id}
          empty={
            <>
              <p>{t("live.none")}</p>
              <p>{t("live.none_how")}</p>
            </>
          }
          columns={[
            { title: t("time"), cell: (row) => clock(row.created) },
            ...ordered("conversions"),
            money(t("commission"), "commission"),
            { title: t("status"), cell: (row) => <Status of={row.status} /> },
            { title: t("reason"), kind: "wrap", cell: (row) => row.reason && said("order", row.reason) },
          ]}
        />
      </Card>
    </>
  );
}
