/** The review queue: what fraud rules flagged, and a person's word on it. */

import { useState } from "preact/hooks";
import { api, query, usePages } from "../api";
import { short, time } from "../format";
import { said, t } from "../i18n";
import { to } from "../route";
import { Card, Dialog, Doing, Page, Status } from "../ui/basics";
import { Reason, StatusChoice } from "../ui/fields";
import { List } from "../ui/table";
import type { ViewProps } from ".";

interface Flag {
  id: string;
  rule: string;
  score: number;
  evidence: Record<string, unknown>;
  status: string;
  conversion: string | null;
  promoter: string | null;
  created: string;
}

const STATUSES = ["open", ""] as const;
type Word = "clear" | "confirm";

export function Review({ context }: ViewProps) {
  const [status, setStatus] = useState<(typeof STATUSES)[number]>("open");
  const flags = usePages<Flag>(`fraud/flags${query({ status })}`);
  const [deciding, setDeciding] = useState<{ flag: Flag; word: Word }>();
  return (
    <Page title={t("review.title")} intro={t("review.intro")}>
      <Card
        title={t("review.queue")}
        actions={<StatusChoice of={STATUSES} value={status} onChange={setStatus} />}
      >
        <List
          caption={t("review.queue")}
          pages={flags}
          rowKey={(flag) => flag.id}
          empty={t("review.none")}
          columns={[
            { title: t("time"), cell: (flag) => time(flag.created) },
            { title: t("review.rule"), cell: (flag) => said("flag", flag.rule) },
            { title: t("review.score"), kind: "num", cell: (flag) => flag.score },
            {
              title: t("order"),
              cell: (flag) =>
                flag.conversion && <a href={to("conversions", flag.conversion)}>{short(flag.conversion)}</a>,
            },
            {
              title: t("promoter"),
              cell: (flag) => flag.promoter && <a href={to("promoters", flag.promoter)}>{flag.promoter}</a>,
            },
            { title: t("review.evidence"), kind: "wrap", cell: (flag) => <Evidence of={flag.evidence} /> },
            { title: t("status"), cell: (flag) => <Status of={flag.status} /> },
            {
              title: t("decision"),
              cell: (flag) =>
                context.decides && flag.status === "open" ? (
                  <span class="row">
                    <button type="button" onClick={() => setDeciding({ flag, word: "clear" })}>
                      {t("review.clear")}
                    </button>
                    <button
                      type="button"
                      class="danger"
                      onClick={() => setDeciding({ flag, word: "confirm" })}
                    >
                      {t("review.confirm")}
                    </button>
                  </span>
                ) : null,
            },
          ]}
        />
      </Card>
      {deciding && (
        <Decide
          {...deciding}
          onClose={() => setDeciding(undefined)}
          onDone={() => {
            setDeciding(undefined);
            flags.reload();
          }}
        />
      )}
    </Page>
  );
}

function Evidence({ of }: { of: Record<string, unknown> }) {
  const parts = Object.entries(of ?? {}).map(
    ([name, value]) =>
      `${name.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  return <span class="mono">{parts.join(" · ")}</span>;
}

function Decide({
  flag,
  word,
  onDone,
  onClose,
}: {
  flag: Flag;
  word: Word;
  onDone: () => void;
  onClose: () => void;
}) {
  const [note, setNote] = useState("");
  return (
    <Dialog title={t(`review.${word}`)} onClose={onClose}>
      <p>{t(`review.${word}_what`)}</p>
      <Doing
        button={t(`review.${word}`)}
        danger={word === "confirm"}
        onDo={() =>
          api("POST", `fraud/flags/${encodeURIComponent(flag.id)}/${word}`, { note: note.trim() }).then(
            onDone,
          )
        }
        onCancel={onClose}
      >
        <Reason label={t("note")} hint={t("reason.hint")} value={note} onChange={setNote} />
      </Doing>
    </Dialog>
  );
}
