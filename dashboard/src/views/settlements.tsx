/** Settlements: a run releases what is due; its progress is shown while it goes on. */

import { useEffect, useState } from "preact/hooks";
import { api, usePages } from "../api";
import { count, time } from "../format";
import { t } from "../i18n";
import type { Settlement } from "../types";
import { Card, Dialog, Doing, Money, Page, Status } from "../ui/basics";
import { List } from "../ui/table";
import type { ViewProps } from ".";

const POLL_MS = 1000;

export function Settlements({ context }: ViewProps) {
  const runs = usePages<Settlement>("settlements");
  const [asking, setAsking] = useState(false);
  const running = runs.data?.find((run) => run.status === "running");
  const { reload } = runs;
  useEffect(() => {
    if (!running && !asking) return;
    const timer = setInterval(reload, POLL_MS);
    return () => clearInterval(timer);
  }, [running?.id, asking, reload]);
  return (
    <Page
      title={t("settlements.title")}
      intro={t("settlements.intro")}
      actions={
        context.decides && (
          <button type="button" class="main" onClick={() => setAsking(true)}>
            {t("settlements.run")}
          </button>
        )
      }
    >
      {running && (
        <div class="note warn" role="status">
          {t("settlements.running", { released: count(running.released) })}
        </div>
      )}
      <Card title={t("settlements.runs")}>
        <List
          caption={t("settlements.runs")}
          pages={runs}
          rowKey={(run) => run.id}
          empty={t("settlements.none")}
          columns={[
            { title: t("settlements.as_of"), cell: (run) => time(run.as_of) },
            { title: t("settlements.released"), kind: "num", cell: (run) => count(run.released) },
            {
              title: t("settlements.amounts"),
              kind: "num",
              cell: (run) =>
                run.amounts.length
                  ? run.amounts.map((one) => (
                      <div key={one.currency}>
                        <Money amount={one.amount} currency={one.currency} />
                      </div>
                    ))
                  : "–",
            },
            { title: t("status"), cell: (run) => <Status of={run.status} /> },
            { title: t("note"), kind: "wrap", cell: (run) => run.note },
            { title: t("created"), cell: (run) => time(run.created) },
          ]}
        />
      </Card>
      {asking && (
        <Dialog title={t("settlements.run")} onClose={() => setAsking(false)}>
          <p>{t("settlements.run_what")}</p>
          <Doing
            button={t("settlements.run")}
            onDo={() =>
              api("POST", "settlements", {}).then(() => {
                setAsking(false);
                reload();
              })
            }
            onCancel={() => setAsking(false)}
          />
        </Dialog>
      )}
    </Page>
  );
}
