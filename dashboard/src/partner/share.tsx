/** A link to share: its QR code, a poster, and words to copy; both may be the product's, its merchant's or one's own. */

import { useState } from "preact/hooks";
import { useApi } from "../api";
import { t } from "../i18n";
import type { Link, Product, Template } from "../types";
import { Card, Copy, Field, Waiting } from "../ui/basics";
import { Picture, TemplateFile } from "../ui/picture";
import { ruleText } from "../ui/rule";
import { download, fill, png, qrSvg, svgBlob, TEMPLATE, type Words, written } from "./poster";

const PNG_WIDTH = 1200;
const KEPT = "tuike.poster";
const KEPT_TEXT = "tuike.text";

export function Share({ link, product }: { link: Link; product: Product | undefined }) {
  const name = product?.name || link.product;
  const template = useApi<Template>(`products/${encodeURIComponent(link.product)}/template`);
  const given = template.data;
  return (
    <Card
      title={t("share.title", { product: name })}
      actions={<Copy text={link.url} label={t("share.copy_link")} />}
    >
      <div class="row" style={{ alignItems: "flex-start", gap: "16px" }}>
        <div class="stack">
          <Picture kind="qr" svg={qrSvg(link.url)} alt={t("share.qr_alt", { url: link.url })} />
          <div class="row">
            <button type="button" onClick={() => download(svgBlob(qrSvg(link.url)), `${link.code}.svg`)}>
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
        {template.loading ? (
          <Waiting />
        ) : (
          <Poster link={link} name={name} given={given?.poster ?? TEMPLATE} />
        )}
      </div>
      {!template.loading && <Texts link={link} product={product} name={name} given={given?.texts ?? []} />}
    </Card>
  );
}

function Poster({ link, name, given }: { link: Link; name: string; given: string }) {
  const [own, setOwn] = useState(localStorage.getItem(KEPT) ?? "");
  const template = own || given;
  const words: Words = { title: name, line: t("share.poster_line"), url: link.url, promoter: link.promoter };
  const svg = fill(template, words);
  const keep = (text: string) => {
    setOwn(text);
    if (text) localStorage.setItem(KEPT, text);
    else localStorage.removeItem(KEPT);
  };
  return (
    <div class="stack">
      <Picture kind="poster" svg={svg} alt={t("share.poster_alt", { product: name })} />
      <div class="row">
        <button type="button" onClick={() => download(svgBlob(svg), `poster-${link.code}.svg`)}>
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
        <TemplateFile onText={keep} />
        <div class="row">
          <button type="button" onClick={() => keep("")}>
            {t("share.template_reset")}
          </button>
          <button type="button" onClick={() => download(svgBlob(template), "template.svg")}>
            {t("share.template_get")}
          </button>
        </div>
      </details>
    </div>
  );
}

function Texts({
  link,
  product,
  name,
  given,
}: {
  link: Link;
  product: Product | undefined;
  name: string;
  given: string[];
}) {
  const [own, setOwn] = useState(localStorage.getItem(KEPT_TEXT) ?? "");
  const { url, coupon, promoter } = link;
  const values = { product: name, category: product?.category ?? "", url, coupon, promoter };
  const theirs = given.filter((text) => coupon || !text.includes("{{coupon}}"));
  const standard = () => [
    t("share.text_short", values),
    t("share.text_long", values),
    ...(coupon ? [t("share.text_coupon", values)] : []),
  ];
  const rest = theirs.length ? theirs.map((text) => written(text, values)) : standard();
  const texts = [...new Set([...(own.trim() ? [written(own, values)] : []), ...rest])];
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
