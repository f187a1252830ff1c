/** A link to share: its QR code, a poster whose template may be one's own, and words to copy. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { t } from "../i18n";
import type { Link, Product } from "../types";
import { Card, Copy, Field } from "../ui/basics";
import { ruleText } from "../ui/rule";
import { download, fill, png, qrSvg, svgUrl, TEMPLATE, type Words } from "./poster";

const PNG_WIDTH = 1200;
const KEPT = "tuike.poster";
const KEPT_TEXT = "tuike.text";

function useUrl(svg: string): string {
  const url = useMemo(() => svgUrl(svg), [svg]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return url;
}

export function Share({ link, product }: { link: Link; product: Product | undefined }) {
  const name = product?.name || link.product;
  const qr = useUrl(qrSvg(link.url));
  return (
    <Card
      title={t("share.title", { product: name })}
      actions={<Copy text={link.url} label={t("share.copy_link")} />}
    >
      <div class="row" style={{ alignItems: "flex-start", gap: "16px" }}>
        <div class="stack">
          <img class="qr" src={qr} alt={t("share.qr_alt", { url: link.url })} />
          <div class="row">
            <button
              type="button"
              onClick={() =>
                download(new Blob([qrSvg(link.url)], { type: "image/svg+xml" }), `${link.code}.svg`)
              }
            >
              SVG
            </button>
            <button
              type="button"
              onClick={async () => download(await png(qrSvg(link.url), PNG_WIDTH), `${link.code}.png`)}
            >
              PNG
            </button>
          </div>
        </div>
        <Poster link={link} name={name} />
      </div>
      <Texts link={link} product={product} name={name} />
    </Card>
  );
}

function Poster({ link, name }: { link: Link; name: string }) {
  const [template, setTemplate] = useState(localStorage.getItem(KEPT) || TEMPLATE);
  const words: Words = { title: name, line: t("share.poster_line"), url: link.url, promoter: link.promoter };
  const svg = fill(template, words);
  const url = useUrl(svg);
  const keep = (text: string) => {
    setTemplate(text || TEMPLATE);
    if (text && text !== TEMPLATE) localStorage.setItem(KEPT, text);
    else localStorage.removeItem(KEPT);
  };
  return (
    <div class="stack">
      <img class="poster" src={url} alt={t("share.poster_alt", { product: name })} />
      <div class="row">
        <button
          type="button"
          onClick={() => download(new Blob([svg], { type: "image/svg+xml" }), `poster-${link.code}.svg`)}
        >
          {t("share.poster")} SVG
        </button>
        <button
          type="button"
          onClick={async () => download(await png(svg, PNG_WIDTH), `poster-${link.code}.png`)}
        >
          {t("share.poster")} PNG
        </button>
      </div>
      <details>
        <summary>{t("share.template")}</summary>
        <Field label={t("share.template_file")} hint={t("share.template_hint")}>
          <input
            type="file"
            accept="image/svg+xml,.svg"
            onChange={(event) => event.currentTarget.files?.[0]?.text().then(keep)}
          />
        </Field>
        <div class="row">
          <button type="button" onClick={() => keep("")}>
            {t("share.template_reset")}
          </button>
          <button
            type="button"
            onClick={() => download(new Blob([template], { type: "image/svg+xml" }), "template.svg")}
          >
            {t("share.template_get")}
          </button>
        </div>
      </details>
    </div>
  );
}

function Texts({ link, product, name }: { link: Link; product: Product | undefined; name: string }) {
  const [own, setOwn] = useState(localStorage.getItem(KEPT_TEXT) ?? "");
  const { url, coupon, promoter } = link;
  const values = { product: name, category: product?.category ?? "", url, coupon, promoter };
  const texts = [
    ...(own.trim() ? [written(own, values)] : []),
    t("share.text_short", values),
    t("share.text_long", values),
    ...(coupon ? [t("share.text_coupon", values)] : []),
  ];
  const keep = (text: string) => {
    setOwn(text);
    if (text.trim()) localStorage.setItem(KEPT_TEXT, text);
    else localStorage.removeItem(KEPT_TEXT);
  };
  return (
    <>
      <p />
      <h2>{t("share.texts")}</h2>
      {product && <p class="dim">{t("share.you_earn", { rule: ruleText(product.commission) })}</p>}
      <ul class="steps">
        {texts.map((text) => (
          <li key={text}>
            <p>{text}</p>
            <Copy text={text} />
          </li>
        ))}
      </ul>
      <details>
        <summary>{t("share.own_text")}</summary>
        <Field label={t("share.own_words")} hint={t("share.own_hint")}>
          <textarea rows={3} value={own} onInput={(event) => keep(event.currentTarget.value)} />
        </Field>
      </details>
    </>
  );
}

/** One's own words with `{{name}}` filled in: plain text, nothing is escaped. */
const written = (template: string, values: Record<string, string>) =>
  template.replace(/\{\{(\w+)\}\}/g, (whole, name) => values[name] ?? whole);
