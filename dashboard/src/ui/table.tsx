/** Tables with a caption, columns that know their alignment, and the next page. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Pages } from "../api";
import { time } from "../format";
import { t } from "../i18n";
import { Empty, Trouble, Waiting } from "./basics";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  kind?: "num" | "wrap";
}

export function Table<T>(props: {
  caption: string;
  columns: Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  empty?: ComponentChildren;
  tree?: boolean;
}) {
  if (!props.rows.length) return <Empty>{props.empty ?? t("nothing")}</Empty>;
  return (
    // a region that scrolls is reached by the keyboard
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section class="scroll" tabIndex={0} aria-label={props.caption}>
      <table class={props.tree ? "tree" : undefined}>
        <caption>{props.caption}</caption>
        <thead>
          <tr>
            {props.columns.map(({ title, kind }) => (
              <th key={title} scope="col" class={kind}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={props.rowKey(row)}>
              {props.columns.map(({ title, kind, cell }) => (
                <td key={title} class={kind}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A list of the API: what it says while it is asked, when it fails, and where it goes on. */
export function List<T>(props: {
  caption: string;
  columns: Column<T>[];
  pages: Pages<T>;
  rowKey: (row: T) => string;
  empty?: ComponentChildren;
  tree?: boolean;
}) {
  const [busy, setBusy] = useState(false);
  const { data, error, more, backTo } = props.pages;
  if (error && !data) return <Trouble error={error} />;
  if (!data) return <Waiting />;
  return (
    <>
      <Trouble error={error} />
      <Table {...props} rows={data} empty={more ? t("nothing_so_far") : props.empty} />
      {backTo && <p class="dim">{t("looked_back_to", { time: time(backTo) })}</p>}
      {more && (
        <div class="more">
          <button
            type="button"
            disabled={busy}
            onClick={async () => {
              setBusy(true);
              await more();
              setBusy(false);
            }}
          >
            {t("more")}
          </button>
        </div>
      )}
    </>
  );
}
