/** Products: the list, and one's settings with its rule. */

import { useState } from "preact/hooks";
import { api, useApi, usePages } from "../api";
import { t } from "../i18n";
import { to } from "../route";
import type { Merchant, Product } from "../types";
import { Card, Choice, Doing, Field, Page, Status, Trouble, Waiting } from "../ui/basics";
import { RuleCard, ruleText } from "../ui/rule";
import { List } from "../ui/table";
import { Templates } from "../ui/template";
import type { ViewProps } from ".";

export function Products({ route, context }: ViewProps) {
  return route.part ? <One id={route.part} context={context} /> : <All />;
}

function All() {
  const products = usePages<Product>("products");
  return (
    <Page title={t("products.title")} intro={t("products.intro")}>
      <Card title={t("products.list")}>
        <List
          caption={t("products.list")}
          pages={products}
          rowKey={(row) => row.id}
          empty={t("products.none")}
          columns={[
            { title: t("product"), cell: (row) => <a href={to("products", row.id)}>{row.id}</a> },
            { title: t("name"), cell: (row) => row.name },
            { title: t("group.merchant"), cell: (row) => row.merchant },
            { title: t("rule"), cell: (row) => ruleText(row.commission) },
            {
              title: t("products.model"),
              cell: (row) => t(`model.${row.attribution.model}` as "model.last"),
            },
            { title: t("products.hold"), kind: "num", cell: (row) => row.hold_days },
            { title: t("status"), cell: (row) => <Status of={row.status} /> },
          ]}
        />
      </Card>
    </Page>
  );
}

function One({ id, context }: { id: string } & Pick<ViewProps, "context">) {
  const product = useApi<Product>(`products/${encodeURIComponent(id)}`);
  const merchant = useApi<Merchant>(
    product.data ? `merchants/${encodeURIComponent(product.data.merchant)}` : "",
  );
  if (product.error)
    return (
      <Page title={id}>
        <Trouble error={product.error} />
      </Page>
    );
  if (!product.data || (!merchant.data && !merchant.error)) return <Waiting />;
  const { name, status, merchant: of, rule_version } = product.data;
  return (
    <Page
      title={`${name || id} (${id})`}
      intro={t("products.of", { merchant: of, version: rule_version })}
      actions={
        <>
          <a href="#/products">{t("back")}</a>
          <Status of={status} />
        </>
      }
    >
      <RuleCard
        key={rule_version}
        product={product.data}
        currency={merchant.data?.currency ?? "CNY"}
        admin={context.admin}
        previews={context.decides}
        onSaved={product.reload}
      />
      <Settings product={product.data} admin={context.admin} onSaved={product.reload} />
      {context.admin && <Templates product={product.data} />}
    </Page>
  );
}

const MODELS = ["last", "first", "linear", "time_decay", "position"] as const;
const BINDINGS = ["none", "first", "last", "mixed"] as const;
const PIXELS = ["hold", "accept", "reject"] as const;

function Settings({ product, admin, onSaved }: { product: Product; admin: boolean; onSaved: () => void }) {
  const start = {
    name: product.name,
    category: product.category,
    url: product.url,
    fallback_url: product.fallback_url ?? "",
    allowed_hosts: product.allowed_hosts.join(" "),
    cookie_days: product.cookie_days,
    hold_days: product.hold_days,
    pixel_conversions: product.pixel_conversions as (typeof PIXELS)[number],
    status: product.status as "active" | "paused",
  };
  const [form, setForm] = useState(start);
  const [model, setModel] = useState(product.attribution.model as (typeof MODELS)[number]);
  const [binding, setBinding] = useState(product.attribution.binding as (typeof BINDINGS)[number]);
  const [window, setWindow] = useState(Number(product.attribution.window_days));
  const [saved, setSaved] = useState(false);
  const set = (change: Partial<typeof start>) => {
    setSaved(false);
    setForm({ ...form, ...change });
  };
  const text = (name: "name" | "category" | "url" | "fallback_url" | "allowed_hosts") => (
    <Field label={t(`products.${name}`)} wide={name === "url" || name === "fallback_url"}>
      <input
        value={form[name]}
        onInput={(event) => set({ [name]: event.currentTarget.value })}
        readOnly={!admin}
      />
    </Field>
  );
  const days = (name: "cookie_days" | "hold_days", most: number) => (
    <Field label={t(`products.${name}`)}>
      <input
        type="number"
        min={name === "cookie_days" ? 1 : 0}
        max={most}
        value={form[name]}
        onInput={(event) => set({ [name]: event.currentTarget.valueAsNumber })}
        readOnly={!admin}
      />
    </Field>
  );
  const save = () =>
    api("PATCH", `products/${encodeURIComponent(product.id)}`, {
      ...form,
      allowed_hosts: form.allowed_hosts.split(/[\s,]+/).filter(Boolean),
      attribution: { model, binding, window_days: window },
    }).then(() => {
      setSaved(true);
      onSaved();
    });
  const inputs = (
    <>
      <div class="grid">
        {text("name")}
        {text("category")}
        {text("url")}
        {text("fallback_url")}
        {text("allowed_hosts")}
        {days("cookie_days", 30)}
        {days("hold_days", 3650)}
        <Choice
          label={t("products.pixel")}
          value={form.pixel_conversions}
          options={PIXELS.map((one) => [one, t(`pixel.${one}`)] as const)}
          onChange={(pixel_conversions) => set({ pixel_conversions })}
        />
        <Choice
          label={t("products.model")}
          value={model}
          options={MODELS.map((one) => [one, t(`model.${one}`)] as const)}
          onChange={setModel}
        />
        <Choice
          label={t("products.binding")}
          value={binding}
          options={BINDINGS.map((one) => [one, t(`binding.${one}`)] as const)}
          onChange={setBinding}
        />
        <Field label={t("products.window_days")}>
          <input
            type="number"
            min={1}
            max={365}
            value={window}
            onInput={(event) => setWindow(event.currentTarget.valueAsNumber)}
            readOnly={!admin}
          />
        </Field>
        <Choice
          label={t("status")}
          value={form.status}
          options={[
            ["active", t("status.active")],
            ["paused", t("status.paused")],
          ]}
          onChange={(status) => set({ status })}
        />
      </div>
      {saved && (
        <p class="note good" role="status">
          {t("saved")}
        </p>
      )}
    </>
  );
  return (
    <Card title={t("products.settings")}>
      {admin ? (
        <Doing button={t("save")} onDo={save}>
          {inputs}
        </Doing>
      ) : (
        inputs
      )}
    </Card>
  );
}
