/** An SVG as a picture, and the file that one comes from. */

import { useEffect, useMemo } from "preact/hooks";
import { t } from "../i18n";
import { svgUrl } from "../partner/poster";
import { Field } from "./basics";

/** Whatever is in it, it runs nothing and loads nothing. */
export function Picture({ svg, alt, kind }: { svg: string; alt: string; kind: "qr" | "poster" }) {
  const url = useMemo(() => svgUrl(svg), [svg]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return <img class={kind} src={url} alt={alt} />;
}

/** A poster's template, chosen from this computer. */
export function TemplateFile({ onText }: { onText: (text: string) => void }) {
  return (
    <Field label={t("share.template_file")} hint={t("share.template_hint")}>
      <input
        type="file"
        accept="image/svg+xml,.svg"
        // the same file, changed meanwhile, is a choice too
        onClick={(event) => {
          event.currentTarget.value = "";
        }}
        onChange={(event) => event.currentTarget.files?.[0]?.text().then(onText)}
      />
    </Field>
  );
}
