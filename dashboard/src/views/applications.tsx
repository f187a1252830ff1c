/** Applications of new promoters, and the invitations that they come with. */

import { useState } from "preact/hooks";
import { api, query, usePages } from "../api";
import { count, time } from "../format";
import { t } from "../i18n";
import { to } from "../route";
import { Card, Copy, Dialog, Doing, Field, Page, Status } from "../ui/basics";
import { Code, Reason, StatusChoice } from "../ui/fields";
import { Token } from "../ui/once";
import { List } from "../ui/table";
import type { ViewProps } from ".";

interface Application {
  id: string;
  invite: string;
  promoter: string;
  name: string;
  note: string;
  status: string;
  reason: string;
  created: string;
}

interface Invite {
  code: string;
  parent: string | null;
  uses: number;
  expires: string | null;
}

const STATUSES = ["waiting", "approved", "rejected", ""] as const;
const pageOf = (code: string) => `${location.origin}/${to("apply", code)}`;

export function Applications({ context }: ViewProps) {
  const [status, setStatus] = useState<(typeof STATUSES)[number]>("waiting");
  const applications = usePages<Application>(`applications${query({ status })}`);
  const invites = usePages<Invite>("invites");
  const [inviting, setInviting] = useState(false);
  const [deciding, setDeciding] = useState<{ of: Application; step: "approve" | "reject" | "token" }>();
  const done = () => {
    setDeciding(undefined);
    setInviting(false);
    applications.reload();
    invites.reload();
  };
  return (
    <Page
      title={t("applications.title")}
      intro={t("applications.intro")}
      actions={
        context.admin && (
          <button type="button" class="main" onClick={() => setInviting(true)}>
            {t("applications.invite")}
          </button>
        )
      }
    >
      <Card
        title={t("applications.list")}
        actions={<StatusChoice of={STATUSES} value={status} onChange={setStatus} />}
      >
        <List
          caption={t("applications.list")}
          pages={applications}
          rowKey={(one) => one.id}
          empty={t("applications.none")}
          columns={[
            { title: t("time"), cell: (one) => time(one.created) },
            { title: t("applications.code"), cell: (one) => one.promoter },
            { title: t("name"), cell: (one) => one.name },
            { title: t("note"), kind: "wrap", cell: (one) => one.note },
            { title: t("applications.invite_code"), cell: (one) => one.invite },
            { title: t("status"), cell: (one) => <Status of={one.status} /> },
            {
              title: t("decision"),
              kind: "wrap",
              cell: (one) => (
                <Steps of={one} admin={context.admin} onStep={(step) => setDeciding({ of: one, step })} />
              ),
            },
          ]}
        />
      </Card>
      <Card title={t("applications.invites")}>
        <List
          caption={t("applications.invites")}
          pages={invites}
          rowKey={(one) => one.code}
          empty={t("applications.no_invites")}
          columns={[
            { title: t("applications.invite_code"), cell: (one) => one.code },
            { title: t("promoters.parent"), cell: (one) => one.parent ?? "–" },
            { title: t("applications.uses"), kind: "num", cell: (one) => count(one.uses) },
            { title: t("applications.until"), cell: (one) => time(one.expires) },
            {
              title: t("share"),
              cell: (one) => <Copy text={pageOf(one.code)} label={t("share.copy_link")} />,
            },
          ]}
        />
      </Card>
      {inviting && <Inviting onDone={done} onClose={() => setInviting(false)} />}
      {deciding?.step === "token" && <Token promoter={deciding.of.promoter} onClose={done} />}
      {deciding && deciding.step !== "token" && (
        <Deciding
          of={deciding.of}
          step={deciding.step}
          onDone={done}
          onClose={() => setDeciding(undefined)}
        />
      )}
    </Page>
  );
}

function Steps(props: {
  of: Application;
  admin: boolean;
  onStep: (step: "approve" | "reject" | "token") => void;
}) {
  const { status, reason } = props.of;
  if (!props.admin) return <>{reason}</>;
  if (status === "rejected") return <>{reason}</>;
  const steps = status === "waiting" ? (["approve", "reject"] as const) : (["token"] as const);
  return (
    <span class="row">
      {steps.map((step) => (
        <button key={step} type="button" onClick={() => props.onStep(step)}>
          {step === "token" ? t("token.make") : t(`applications.${step}`)}
        </button>
      ))}
    </span>
  );
}

function Inviting({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [code, setCode] = useState("");
  const [parent, setParent] = useState("");
  const [uses, setUses] = useState(1);
  const body = { code: code.trim(), uses, ...(parent.trim() ? { parent: parent.trim() } : {}) };
  return (
    <Dialog title={t("applications.invite")} onClose={onClose}>
      <Doing button={t("save")} onDo={() => api("POST", "invites", body).then(onDone)} onCancel={onClose}>
        <Code label={t("applications.invite_code")} value={code} onChange={setCode} />
        <Field label={t("promoters.parent")} hint={t("promoters.parent_hint")}>
          <input value={parent} onInput={(event) => setParent(event.currentTarget.value)} />
        </Field>
        <Field label={t("applications.uses")}>
          <input
            type="number"
            min={1}
            max={1000}
            value={uses}
            onInput={(event) => setUses(event.currentTarget.valueAsNumber)}
          />
        </Field>
      </Doing>
    </Dialog>
  );
}

function Deciding(props: {
  of: Application;
  step: "approve" | "reject";
  onDone: () => void;
  onClose: () => void;
}) {
  const { of, step } = props;
  const [reason, setReason] = useState("");
  return (
    <Dialog title={t(`applications.${step}`)} onClose={props.onClose}>
      <p>{t(`applications.${step}_what`, { promoter: of.promoter })}</p>
      <Doing
        button={t(`applications.${step}`)}
        danger={step === "reject"}
        onDo={() =>
          api(
            "POST",
            `applications/${of.id}/${step}`,
            step === "reject" ? { reason: reason.trim() } : undefined,
          ).then(props.onDone)
        }
        onCancel={props.onClose}
      >
        {step === "reject" && <Reason value={reason} onChange={setReason} />}
      </Doing>
    </Dialog>
  );
}
