/** A link's QR code and poster as SVG, and any SVG as PNG. */

import qrcode from "qrcode-generator";

/** What a template may name: `{{name}}`. */
export interface Words {
  title: string;
  line: string;
  url: string;
  promoter: string;
}

/** A poster of one's own is any SVG with these places: {{title}}, {{line}}, {{url}}, {{promoter}}, {{qr}}. */
export const TEMPLATE = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 900" width="600" height="900" font-family="system-ui, 'PingFang SC', 'Noto Sans CJK SC', sans-serif">
  <rect width="600" height="900" fill="#f4f1ea"/>
  <rect width="600" height="330" fill="#0b6e69"/>
  <text x="48" y="170" font-size="56" font-weight="700" fill="#ffffff">{{title}}</text>
  <text x="48" y="226" font-size="26" fill="#cfe8e6">{{line}}</text>
  <rect x="110" y="370" width="380" height="380" rx="12" fill="#ffffff"/>
  <svg x="120" y="380" width="360" height="360">{{qr}}</svg>
  <text x="300" y="806" font-size="22" text-anchor="middle" fill="#1c2428">{{url}}</text>
  <text x="300" y="850" font-size="20" text-anchor="middle" fill="#566068">{{promoter}}</text>
</svg>`;

/** The dark modules of a QR code as one path; `size` modules a side, a quiet zone of 4 included. */
export function modules(text: string): { path: string; size: number } {
  const code = qrcode(0, "M");
  code.addData(text, "Byte");
  code.make();
  const n = code.getModuleCount();
  let path = "";
  for (let row = 0; row < n; row++)
    for (let column = 0; column < n; column++)
      if (code.isDark(row, column)) path += `M${column + 4} ${row + 4}h1v1h-1z`;
  return { path, size: n + 8 };
}

export function qrSvg(text: string): string {
  const { path, size } = modules(text);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges"><rect width="${size}" height="${size}" fill="#fff"/><path d="${path}" fill="#000"/></svg>`;
}

const escaped = (text: string) => text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Words are escaped: a product's name is never markup. */
export function fill(template: string, words: Words): string {
  const texts: Record<string, string> = { ...words };
  return template.replace(/\{\{(\w+)\}\}/g, (whole, name) =>
    name === "qr" ? qrSvg(words.url) : Object.hasOwn(texts, name) ? escaped(texts[name] ?? "") : whole,
  );
}

/** A text with `{{name}}` filled in: plain, nothing is escaped. */
export const written = (template: string, values: Record<string, string>): string =>
  template.replace(/\{\{(\w+)\}\}/g, (whole, name) =>
    Object.hasOwn(values, name) ? (values[name] ?? "") : whole,
  );

export const svgBlob = (svg: string): Blob => new Blob([svg], { type: "image/svg+xml" });

export const svgUrl = (svg: string): string => URL.createObjectURL(svgBlob(svg));

/** Draws an SVG `width` pixels wide. Rejects where it is none. */
export async function png(svg: string, width: number): Promise<Blob> {
  const url = svgUrl(svg);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = Math.round((width * image.naturalHeight) / image.naturalWidth) || width;
    const context = canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) =>
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no image"))), "image/png"),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
