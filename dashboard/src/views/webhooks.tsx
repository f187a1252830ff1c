/** Webhooks: where what happens is sent, what became of it, and a second try. */

import { useState } from "preact/hooks";
import { api, query, useApi, usePages } from "../api";
import { count, time } from "../format";
import { t } from "../i18n";
import { to } from "../route";
import { Card, Choice, Dialog, Doing, Page, Status, Trouble, Waiting } from "../ui/basics";
import { Code, StatusChoice } from "../ui/fields";
import { Once } from "../ui/once";
import { List } from "../ui/table";
import { Target, TYPES } from "../ui/target";
import type { ViewProps } from ".";

const STATUSES = ["", "delivered", "failing", "dead"] as const;

interface Webhook {
  id: string;
  url: string;
  events: string[];
  status: "active" | "paused";
  created: string;
}

interface Delivery {
  delivery: number;
  id: string;
  type: string;
  status: string;
  attempts: number;
  code: number | null;
  detail: string;
  at: string;
  next: string | null;
}

export function Webhooks({ route }: ViewProps) {
  return route.part ? <One id={route.part} /> : <All />;
}

function All() {
  const hooks = usePages<Webhook>("webhooks");
  const [adding, setAdding] = useState(false);
  return (
    <Page
      title={t("webhooks.title")}
      intro={t("webhooks.intro")}
      actions={
        <button type="button" class="main" onClick={() => setAdding(true)}>
          {t("webhooks.add")}
        </button>
      }
    >
      <Card title={t("webhooks.list")}>
        <List
          caption={t("webhooks.list")}
          pages={hooks}
          rowKey={(hook) => hook.id}
          empty={t("webhooks.none")}
          columns={[
            { title: t("code"), cell: (hook) => <a href={to("webhooks", hook.id)}>{hook.id}</a> },
            { title: t("webhooks.url"), kind: "wrap", cell: (hook) => hook.url },
            {
              title: t("webhooks.events"),
              kind: "wrap",
              cell: (hook) => (
                <span class="mono">
                  {hook.events.length === TYPES.length ? t("all") : hook.events.join(" · ")}
                </span>
              ),
            },
            { title: t("status"), cell: (hook) => <Status of={hook.status} /> },
            { title: t("created"), cell: (hook) => time(hook.created) },
          ]}
        />
      </Card>
      {adding && (
        <Add
          onClose={() => {
            setAdding(false);
            hooks.reload();
          }}
        />
      )}
    </Page>
  );
}

function Add({ onClose }: { onClose: () => void }) {
  const [id, setId] = useState("");
  const [url, setUrl] = useState("https://");
  const [events, setEvents] = useState(TYPES);
  const [secret, setSecret] = useState("");
  const make = () =>
    api<{ secret?: string }>("POST", "webhooks", { id: id.trim(), url: url.trim(), events }).then((made) =>
      made.secret ? setSecret(made.secret) : onClose(),
    );
  return (
    <Dialog title={t("webhooks.add")} onClose={onClose}>
      {secret ? (
        <>
          <p>{t("webhooks.secret")}</p>
          <Once text={secret} onClose={onClose} />
        </>
      ) : (
        <Doing button={t("save")} onDo={make} onCancel={onClose}>
          <Code label={t("code")} value={id} onChange={setId} />
          <Target url={url} onUrl={setUrl} events={events} onEvents={setEvents} />
        </Doing>
      )}
    </Dialog>
  );
}

function One({ id }: { id: string }) {
  const path = `webhooks/${encodeURIComponent(id)}`;
  const hook = useApi<Webhook>(path);
  const [removing, setRemoving] = useState(false);
  if (hook.error)
    return (
      <Page title={id}>
        <Trouble error={hook.error} />
      </Page>
    );
  if (!hook.data) return <Waiting />;
  return (
    <Page
      title={id}
      intro={hook.data.url}
      actions={
        <>
          <a href="#/webhooks">{t("back")}</a>
          <Status of={hook.data.status} />
          <button type="button" class="danger" onClick={() => setRemoving(true)}>
            {t("webhooks.remove")}
          </button>
        </>
      }
    >
      <Deliveries path={path} />
      <Settings hook={hook.data} path={path} onSaved={hook.reload} />
      {removing && (
        <Dialog title={t("webhooks.remove")} onClose={() => setRemoving(false)}>
          <p>{t("webhooks.remove_what", { id })}</p>
          <Doing
            button={t("webhooks.remove")}
            danger
            onDo={() =>
              api("DELETE", path).then(() => {
                location.hash = to("webhooks");
              })
            }
            onCancel={() => setRemoving(false)}
          />
        </Dialog>
      )}
    </Page>
  );
}

function Deliveries({ path }: { path: string }) {
  const [status, setStatus] = useState<(typeof STATUSES)[number]>("");
  const deliveries = usePages<Delivery>(`${path}/deliveries${query({ status })}`);
  const [again, setAgain] = useState<Delivery>();
  return (
    <Card
      title={t("webhooks.deliveries")}
      actions={
        <>
          <StatusChoice of={STATUSES} value={status} onChange={setStatus} />
          <button type="button" onClick={deliveries.reload}>
            {t("reload")}
          </button>
        </>
      }
    >
      <List
        caption={t("webhooks.deliveries")}
        pages={deliveries}
        rowKey={(one) => one.id}
        empty={t("webhooks.no_deliveries")}
        columns={[
          { title: t("time"), cell: (one) => time(one.at) },
          { title: t("webhooks.event"), cell: (one) => <span class="mono">{one.type}</span> },
          { title: t("id"), cell: (one) => <span class="mono">{one.id}</span> },
          { title: t("status"), cell: (one) => <Status of={one.status} /> },
          { title: t("webhooks.attempts"), kind: "num", cell: (one) => count(one.attempts) },
          {
            title: t("webhooks.answer"),
            kind: "wrap",
            cell: (one) => [one.code, one.detail].filter(Boolean).join(" "),
          },
          { title: t("webhooks.next"), cell: (one) => time(one.next) },
          {
            title: t("decision"),
            cell: (one) => (
              <button
                type="button"
                aria-label={t("webhooks.again_of", { id: one.id })}
                onClick={() => setAgain(one)}
              >
                {t("webhooks.again")}
              </button>
            ),
          },
        ]}
      />
      {again && (
        <Dialog title={t("webhooks.again_of", { id: again.id })} onClose={() => setAgain(undefined)}>
          <p>{t("webhooks.again_what")}</p>
          <Doing
            button={t("webhooks.again")}
            onDo={() =>
              api("POST", `${path}/deliveries/${again.delivery}/replay`).then(() => {
                setAgain(undefined);
                deliveries.reload();
              })
            }
            onCancel={() => setAgain(undefined)}
          />
        </Dialog>
      )}
    </Card>
  );
}

function Settings({ hook, path, onSaved }: { hook: Webhook; path: string; onSaved: () => void }) {
  const [url, setUrl] = useState(hook.url);
  const [events, setEvents] = useState(hook.events);
  const [status, setStatus] = useState(hook.status);
  const [saved, setSaved] = useState(false);
  const save = () => {
    setSaved(false);
    return api("PATCH", path, { url: url.trim(), events, status }).then(() => {
      setSaved(true);
      onSaved();
    });
  };
  return (
    <Card title={t("webhooks.settings")}>
      <Doing button={t("save")} onDo={save}>
        <Target url={url} onUrl={setUrl} events={events} onEvents={setEvents} />
        <Choice
          label={t("status")}
          value={status}
          options={[
            ["active", t("status.active")],
            ["paused", t("status.paused")],
          ]}
          onChange={setStatus}
        />
        {saved && (
          <p class="note good" role="status">
            {t("saved")}
          </p>
        )}
      </Doing>
    </Card>
  );
}
