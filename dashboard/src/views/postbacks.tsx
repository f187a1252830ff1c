/** Postbacks that did not count: what came, why it was refused, and another try. */

import { useState } from "preact/hooks";
import { api, usePages } from "../api";
import { time } from "../format";
import { said, t } from "../i18n";
import { Card, Dialog, Doing, Page } from "../ui/basics";
import { List } from "../ui/table";
import type { ViewProps } from ".";

interface Refused {
  id: string;
  merchant: string;
  by: "edge" | "books";
  at: string;
  code: string;
  detail: string;
  parameters: { name: string; value: string }[];
}

interface Replayed {
  status: "applied" | "waiting" | "set_aside" | "dismissed";
  code: string | null;
  detail: string | null;
}

type Word = "replay" | "dismiss";

const ROOM = 12;

const why = (code: string, detail: string | null) => said("error", code, detail || code);

export function Postbacks({ context }: ViewProps) {
  const refused = usePages<Refused>("postbacks/refused");
  const [deciding, setDeciding] = useState<{ one: Refused; word: Word }>();
  const [last, setLast] = useState<Replayed>();
  return (
    <Page title={t("postbacks.title")} intro={t("postbacks.intro")}>
      {last && (
        <p class={`note ${last.status === "set_aside" ? "warn" : "good"}`} role="status">
          {t(`postbacks.is.${last.status}`)} {last.code && why(last.code, last.detail)}
        </p>
      )}
      <Card title={t("postbacks.list")}>
        <List
          caption={t("postbacks.list")}
          pages={refused}
          rowKey={(one) => one.id}
          empty={t("postbacks.none")}
          columns={[
            { title: t("time"), cell: (one) => time(one.at) },
            { title: t("group.merchant"), cell: (one) => one.merchant },
            { title: t("reason"), kind: "wrap", cell: (one) => why(one.code, one.detail) },
            { title: t("postbacks.by"), cell: (one) => t(`postbacks.by.${one.by}`) },
            {
              title: t("postbacks.parameters"),
              kind: "wrap",
              cell: (one) => <Came parameters={one.parameters} />,
            },
            {
              title: t("decision"),
              cell: (one) =>
                context.decides && (
                  <span class="row">
                    <button type="button" onClick={() => setDeciding({ one, word: "replay" })}>
                      {t("postbacks.replay")}
                    </button>
                    <button
                      type="button"
                      class="danger"
                      onClick={() => setDeciding({ one, word: "dismiss" })}
                    >
                      {t("postbacks.dismiss")}
                    </button>
                  </span>
                ),
            },
          ]}
        />
      </Card>
      {deciding && (
        <Decide
          {...deciding}
          onClose={() => setDeciding(undefined)}
          onDone={(became) => {
            setDeciding(undefined);
            setLast(became);
            refused.reload();
          }}
        />
      )}
    </Page>
  );
}

/** Those that are many open. */
function Came({ parameters }: Pick<Refused, "parameters">) {
  const said = (some: Refused["parameters"]) => (
    <span class="mono">{some.map(({ name, value }) => `${name}=${value}`).join(" · ")}</span>
  );
  if (parameters.length <= ROOM) return said(parameters);
  return (
    <details>
      <summary>{said(parameters.slice(0, ROOM))} …</summary>
      {said(parameters.slice(ROOM))}
    </details>
  );
}

function Decide(props: {
  one: Refused;
  word: Word;
  onDone: (became: Replayed) => void;
  onClose: () => void;
}) {
  const path = `postbacks/refused/${props.one.id}`;
  const decide = () =>
    props.word === "replay" ? api<Replayed>("POST", `${path}/replay`) : api<Replayed>("DELETE", path);
  return (
    <Dialog title={t(`postbacks.${props.word}`)} onClose={props.onClose}>
      <p>{t(`postbacks.${props.word}_what`)}</p>
      <Doing
        button={t(`postbacks.${props.word}`)}
        danger={props.word === "dismiss"}
        onDo={() => decide().then(props.onDone)}
        onCancel={props.onClose}
      />
    </Dialog>
  );
}
