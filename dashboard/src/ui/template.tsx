/** The poster and texts that promoters see: a product's, its merchant's, or those of every product. */

import { useState } from "preact/hooks";
import { api, useApi } from "../api";
import { t } from "../i18n";
import { download, fill, svgBlob, TEMPLATE } from "../partner/poster";
import type { Product, Template } from "../types";
import { Card, Doing, Field, Segments, Trouble, Waiting } from "./basics";
import { Picture, TemplateFile } from "./picture";

const OWNERS = ["product", "merchant", "instance"] as const;

export function Templates({ product }: { product: Product }) {
  const [kind, setKind] = useState<(typeof OWNERS)[number]>("product");
  const [path, owner] = {
    product: [`products/${encodeURIComponent(product.id)}/template`, `product:${product.id}`] as const,
    merchant: [
      `merchants/${encodeURIComponent(product.merchant)}/template`,
      `merchant:${product.merchant}`,
    ] as const,
    instance: ["template", "instance"] as const,
  }[kind];
  const template = useApi<Template>(path);
  return (
    <Card title={t("template.title")}>
      <p class="dim">{t("template.intro")}</p>
      <Segments
        label={t("template.of")}
        value={kind}
        options={OWNERS.map((one) => [one, t(`template.of.${one}`)] as const)}
        onChange={setKind}
      />
      <Trouble error={template.error} />
      {template.loading || !template.data ? (
        !template.error && <Waiting />
      ) : (
        <Form
          key={owner}
          path={path}
          owner={owner}
          template={template.data}
          product={product}
          onSaved={template.reload}
        />
      )}
    </Card>
  );
}

function Form({
  path,
  owner,
  template,
  product,
  onSaved,
}: {
  path: string;
  owner: string;
  template: Template;
  product: Product;
  onSaved: () => void;
}) {
  // of a product is shown what is in force, which may be another's
  const { poster_of = owner, texts_of = owner } = template;
  const [poster, setPoster] = useState(poster_of === owner ? template.poster : null);
  const [texts, setTexts] = useState(texts_of === owner ? template.texts.join("\n") : "");
  const [saved, setSaved] = useState(false);
  const inherited = poster_of === owner ? null : template.poster;
  const shown = poster ?? inherited ?? TEMPLATE;
  const words = {
    title: product.name || product.id,
    line: t("share.poster_line"),
    url: product.url,
    promoter: t("promoter"),
  };
  const change = (to: string | null) => {
    setSaved(false);
    setPoster(to);
  };
  const save = () =>
    api("PUT", path, { poster, texts: texts.split("\n").filter((text) => text.trim()) }).then(() => {
      setSaved(true);
      onSaved();
    });
  return (
    <Doing button={t("template.save")} onDo={save}>
      <div class="row" style={{ alignItems: "flex-start", gap: "16px" }}>
        <Picture
          kind="poster"
          svg={fill(shown, words)}
          alt={t("share.poster_alt", { product: words.title })}
        />
        <div class="stack">
          <TemplateFile onText={change} />
          <div class="row">
            <button type="button" disabled={poster === null} onClick={() => change(null)}>
              {t("template.remove")}
            </button>
            <button type="button" onClick={() => download(svgBlob(shown), "template.svg")}>
              {t("share.template_get")}
            </button>
          </div>
          <Field label={t("template.texts")} hint={t("template.texts_hint")}>
            <textarea
              rows={5}
              value={texts}
              onInput={(event) => {
                setSaved(false);
                setTexts(event.currentTarget.value);
              }}
            />
          </Field>
          {[poster_of, texts_of].some((of) => of && of !== owner) && (
            <small class="dim">
              {t("template.inherited", { poster: poster_of ?? "–", texts: texts_of ?? "–" })}
            </small>
          )}
        </div>
      </div>
      {saved && (
        <p class="note good" role="status">
          {t("saved")}
        </p>
      )}
    </Doing>
  );
}
