/** Promoters: the tree, a level at a time, and one of them with balance and team. */

import { useState } from "preact/hooks";
import { type ApiError, api, query, useApi, usePages } from "../api";
import { count, time } from "../format";
import { t } from "../i18n";
import { to } from "../route";
import type { Promoter, Team } from "../types";
import { Balances } from "../ui/balances";
import { Card, Choice, Dialog, Doing, Field, Page, Stats, Status, Trouble, Waiting } from "../ui/basics";
import { Code } from "../ui/fields";
import { Token } from "../ui/once";
import { Statements } from "../ui/statements";
import { List } from "../ui/table";
import type { ViewProps } from ".";

export function Promoters({ route, context }: ViewProps) {
  return route.part ? <One id={route.part} admin={context.admin} /> : <Tree admin={context.admin} />;
}

function Tree({ admin }: { admin: boolean }) {
  const [adding, setAdding] = useState(false);
  const [sought, setSought] = useState("");
  const roots = usePages<Promoter>("promoters?roots=true&limit=100");
  const [open, setOpen] = useState<Record<string, Promoter[]>>({});
  const [error, setError] = useState<ApiError>();
  const toggle = async (id: string) => {
    if (open[id]) {
      const { [id]: _, ...others } = open;
      return setOpen(others);
    }
    try {
      const page = await api<{ items: Promoter[] }>("GET", `promoters${query({ parent: id, limit: 500 })}`);
      setOpen((now) => ({ ...now, [id]: page.items }));
    } catch (refused) {
      setError(refused as ApiError);
    }
  };
  const rows = (items: Promoter[], depth: number): { promoter: Promoter; depth: number }[] =>
    items.flatMap((promoter) => [{ promoter, depth }, ...rows(open[promoter.id] ?? [], depth + 1)]);
  const search = (event: Event) => {
    event.preventDefault();
    if (sought.trim()) location.hash = to("promoters", sought.trim());
  };
  return (
    <Page
      title={t("promoters.title")}
      intro={t("promoters.intro")}
      actions={
        <>
          <form class="row" onSubmit={search}>
            <input
              aria-label={t("promoters.find")}
              placeholder={t("promoters.find")}
              value={sought}
              onInput={(event) => setSought(event.currentTarget.value)}
            />
          </form>
          {admin && (
            <button type="button" class="main" onClick={() => setAdding(true)}>
              {t("promoters.add")}
            </button>
          )}
        </>
      }
    >
      <Card title={t("promoters.tree")}>
        <List
          caption={t("promoters.tree")}
          tree
          pages={{ ...roots, data: roots.data && rows(roots.data, 0), error: roots.error ?? error }}
          rowKey={(row) => row.promoter.id}
          empty={t("promoters.none")}
          columns={[
            {
              title: t("promoter"),
              cell: ({ promoter, depth }) => (
                <>
                  <span class="indent" style={{ width: `${depth * 20}px` }} />
                  <button
                    type="button"
                    class="plain"
                    aria-expanded={!!open[promoter.id]}
                    aria-label={t("promoters.expand", { id: promoter.id })}
                    onClick={() => toggle(promoter.id)}
                  >
                    {open[promoter.id] ? "▾" : "▸"}
                  </button>{" "}
                  <a href={to("promoters", promoter.id)}>{promoter.id}</a>
                  {open[promoter.id]?.length === 0 && <span class="dim"> · {t("promoters.leaf")}</span>}
                </>
              ),
            },
            { title: t("name"), cell: ({ promoter }) => promoter.name },
            {
              title: t("kind"),
              cell: ({ promoter }) => t(promoter.kind === "kol" ? "kind.kol" : "kind.member"),
            },
            { title: t("tax"), cell: ({ promoter }) => <span class="mono">{promoter.tax.scheme}</span> },
            { title: t("status"), cell: ({ promoter }) => <Status of={promoter.status} /> },
            { title: t("since"), cell: ({ promoter }) => time(promoter.created) },
          ]}
        />
      </Card>
      {adding && (
        <Add
          onClose={() => {
            setAdding(false);
            roots.reload();
          }}
        />
      )}
    </Page>
  );
}

function Add({ onClose }: { onClose: () => void }) {
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const [parent, setParent] = useState("");
  const [kind, setKind] = useState<"member" | "kol">("member");
  const save = () =>
    api("POST", "promoters", {
      id: id.trim(),
      name: name.trim() || id.trim(),
      kind,
      ...(parent.trim() && { parent: parent.trim() }),
    }).then(onClose);
  return (
    <Dialog title={t("promoters.add")} onClose={onClose}>
      <Doing button={t("save")} onDo={save} onCancel={onClose}>
        <Code label={t("code")} value={id} onChange={setId} />
        <Field label={t("name")}>
          <input value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label={t("promoters.parent")} hint={t("promoters.parent_hint")}>
          <input value={parent} onInput={(event) => setParent(event.currentTarget.value)} />
        </Field>
        <Choice
          label={t("kind")}
          value={kind}
          options={[
            ["member", t("kind.member")],
            ["kol", t("kind.kol")],
          ]}
          onChange={setKind}
        />
      </Doing>
    </Dialog>
  );
}

function One({ id, admin }: { id: string; admin: boolean }) {
  const path = `promoters/${encodeURIComponent(id)}`;
  const one = useApi<Promoter>(path);
  const team = useApi<Team>(`${path}/team`);
  const chain = useApi<{ chain: { level: number; id: string }[] }>(`${path}/chain`);
  const below = usePages<Promoter>(`promoters${query({ parent: id })}`);
  const [deciding, setDeciding] = useState(false);
  const [giving, setGiving] = useState(false);
  if (one.error)
    return (
      <Page title={id}>
        <Trouble error={one.error} />
      </Page>
    );
  if (!one.data) return <Waiting />;
  const { name, status } = one.data;
  const next = status === "blocked" ? "active" : "blocked";
  return (
    <Page
      title={`${name} (${id})`}
      intro={chain.data?.chain.map((level) => level.id).join(" → ") ?? ""}
      actions={
        <>
          <a href="#/promoters">{t("back")}</a>
          <Status of={status} />
          {admin && (
            <>
              <button type="button" onClick={() => setGiving(true)}>
                {t("token.make")}
              </button>
              <button type="button" onClick={() => setDeciding(true)}>
                {t(next === "blocked" ? "promoters.block" : "promoters.unblock")}
              </button>
            </>
          )}
        </>
      }
    >
      <Balances promoter={id} />
      {team.data && (
        <Stats
          items={[
            [t("team.direct"), count(team.data.direct)],
            [t("team.total"), count(team.data.total)],
            ...Object.entries(team.data.by_level)
              .slice(1, 4)
              .map(([level, many]): [string, string] => [t("team.level", { level }), count(many)]),
          ]}
        />
      )}
      <Card title={t("promoters.below")}>
        <List
          caption={t("promoters.below")}
          pages={below}
          rowKey={(row) => row.id}
          empty={t("promoters.leaf")}
          columns={[
            { title: t("promoter"), cell: (row) => <a href={to("promoters", row.id)}>{row.id}</a> },
            { title: t("name"), cell: (row) => row.name },
            { title: t("status"), cell: (row) => <Status of={row.status} /> },
            { title: t("since"), cell: (row) => time(row.created) },
          ]}
        />
      </Card>
      <Statements promoter={id} />
      {giving && <Token promoter={id} onClose={() => setGiving(false)} />}
      {deciding && (
        <Dialog
          title={t(next === "blocked" ? "promoters.block" : "promoters.unblock")}
          onClose={() => setDeciding(false)}
        >
          <p>{t(next === "blocked" ? "promoters.block_what" : "promoters.unblock_what", { id })}</p>
          <Doing
            button={t(next === "blocked" ? "promoters.block" : "promoters.unblock")}
            danger={next === "blocked"}
            onDo={() =>
              api("PATCH", path, { status: next }).then(() => {
                setDeciding(false);
                one.reload();
              })
            }
            onCancel={() => setDeciding(false)}
          />
        </Dialog>
      )}
    </Page>
  );
}
