/** Links: those there are, a builder with sub-ids, and what to share them with: QR code, poster, words. */

import { useState } from "preact/hooks";
import { api, query, usePages } from "../api";
import { t } from "../i18n";
import type { Link, Product } from "../types";
import { Card, Copy, Doing, Field, Page, Status } from "../ui/basics";
import { List } from "../ui/table";
import type { ViewProps } from "../views";
import { Share } from "./share";

const CHANNELS = ["wechat", "douyin", "xiaohongshu", "weibo", "email", "web"];

export function Links({ context }: ViewProps) {
  const links = usePages<Link>(`links${query({ limit: 100 })}`);
  const products = usePages<Product>("products?limit=500");
  const [shared, setShared] = useState<Link>();
  const current = shared ?? links.data?.[0];
  const product = products.data?.find((one) => one.id === current?.product);
  const made = (link: Link) => {
    setShared(link);
    links.reload();
  };
  return (
    <Page title={t("links.title")} intro={t("links.intro")}>
      <div class="cols">
        <Card title={t("links.build")}>
          {products.data && <Build promoter={context.subject} products={products.data} onMade={made} />}
        </Card>
        {current && <Share link={current} product={product} />}
      </div>
      <Card title={t("links.yours")}>
        <List
          caption={t("links.yours")}
          pages={links}
          rowKey={(link) => link.code}
          empty={t("links.none")}
          columns={[
            { title: t("link"), cell: (link) => <a href={link.url}>{link.url}</a> },
            { title: t("product"), cell: (link) => link.product },
            { title: t("group.channel"), cell: (link) => link.channel },
            { title: t("coupon"), cell: (link) => link.coupon },
            { title: t("status"), cell: (link) => <Status of={link.status} /> },
            {
              title: t("share"),
              cell: (link) => (
                <span class="row">
                  <Copy text={link.url} />
                  <button
                    type="button"
                    aria-pressed={link.code === current?.code}
                    onClick={() => setShared(link)}
                  >
                    {t("share")}
                  </button>
                </span>
              ),
            },
          ]}
        />
      </Card>
    </Page>
  );
}

function Build({
  promoter,
  products,
  onMade,
}: {
  promoter: string;
  products: Product[];
  onMade: (link: Link) => void;
}) {
  const [product, setProduct] = useState(products[0]?.id ?? "");
  const [fields, setFields] = useState<Record<string, string>>({});
  const text = (name: string, label: string, hint?: string) => (
    <Field label={label} {...(hint ? { hint } : {})}>
      <input
        value={fields[name] ?? ""}
        list={name === "channel" ? "channels" : undefined}
        onInput={(event) => setFields({ ...fields, [name]: event.currentTarget.value })}
      />
    </Field>
  );
  const make = () => {
    const given = Object.entries(fields).map(([name, value]) => [name, value.trim()] as const);
    return api<Link>("POST", "links", {
      promoter,
      product,
      ...Object.fromEntries(given.filter(([, value]) => value)),
    }).then(onMade);
  };
  return (
    <Doing button={t("links.make")} onDo={make}>
      <Field label={t("product")}>
        <select value={product} required onChange={(event) => setProduct(event.currentTarget.value)}>
          {products.map((one) => (
            <option key={one.id} value={one.id}>
              {one.name || one.id}
            </option>
          ))}
        </select>
      </Field>
      <div class="grid">
        {text("channel", t("group.channel"))}
        {[1, 2, 3, 4, 5].map((n) => text(`sub${n}`, `sub${n}`))}
      </div>
      <details>
        <summary>{t("links.more")}</summary>
        <div class="form">
          {text("code", t("code"), t("links.code_hint"))}
          {text("url", t("links.target"), t("links.target_hint"))}
          {text("coupon", t("coupon"))}
        </div>
      </details>
      <datalist id="channels">
        {CHANNELS.map((channel) => (
          <option key={channel} value={channel} />
        ))}
      </datalist>
    </Doing>
  );
}
