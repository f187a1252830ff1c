/** An SVG as a picture: whatever is in it, it runs nothing and loads nothing. */

import { useEffect, useMemo } from "preact/hooks";
import { svgUrl } from "../partner/poster";

export function Picture({ svg, alt, kind }: { svg: string; alt: string; kind: "qr" | "poster" }) {
  const url = useMemo(() => svgUrl(svg), [svg]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return <img class={kind} src={url} alt={alt} />;
}
