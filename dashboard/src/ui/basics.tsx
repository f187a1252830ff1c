/** The small parts that all views are made of. */

import { type ComponentChildren, cloneElement, type VNode } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { grouped } from "../format";
import { said, t } from "../i18n";

type Kids = { children?: ComponentChildren };

/** A view: its heading takes the focus when the view changes. */
export function Page({
  title,
  intro,
  actions,
  children,
}: { title: string; intro?: string; actions?: ComponentChildren } & Kids) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · tuike`;
  }, [title]);
  // only a new view takes the focus
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <>
      <div class="head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {intro && <p>{intro}</p>}
        </div>
        {actions && <div class="row">{actions}</div>}
      </div>
      <div class="stack">{children}</div>
    </>
  );
}

export function Card({ title, actions, children }: { title?: string; actions?: ComponentChildren } & Kids) {
  return (
    <section class="card">
      {(title || actions) && (
        <header>
          {title && <h2>{title}</h2>}
          {actions && <div class="row">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Stats({
  items,
}: {
  items: [label: string, value: ComponentChildren, note?: ComponentChildren][];
}) {
  return (
    <dl class="card stats">
      {items.map(([label, value, note]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>
            {value} {note !== undefined && note !== "" && <small>{note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function Money({
  amount,
  currency,
}: {
  amount: string | null | undefined;
  currency?: string | null | undefined;
}) {
  if (amount === null || amount === undefined) return <span class="dim">–</span>;
  return (
    <>
      {grouped(amount)} {currency && <span class="cur">{currency}</span>}
    </>
  );
}

const TONE: Record<string, string> = {
  approved: "good",
  active: "good",
  paid: "good",
  done: "good",
  delivered: "good",
  closed: "good",
  cleared: "good",
  pending: "warn",
  waiting: "warn",
  reserved: "warn",
  running: "warn",
  paused: "warn",
  open: "warn",
  rejected: "bad",
  refunded: "bad",
  failing: "warn",
  failed: "bad",
  dead: "bad",
  bounced: "bad",
  blocked: "bad",
  confirmed: "bad",
};

export function Status({ of }: { of: string }) {
  return <span class={`tag ${TONE[of] ?? ""}`}>{said("status", of)}</span>;
}

export function Empty({ children }: Kids) {
  return <div class="empty">{children}</div>;
}

/** What went wrong: the code's words, and what the server said of this case. */
export function Trouble({ error }: { error: unknown }) {
  if (!error) return null;
  const { code, detail } = error instanceof ApiError ? error : { code: "internal", detail: String(error) };
  return (
    <div class="note bad" role="alert">
      {said("error", code, detail ? t("error.none") : code)} {detail && <span class="mono">{detail}</span>}
    </div>
  );
}

export function Waiting() {
  return <Empty>{t("loading")}</Empty>;
}

/** A control with its label; a hint below describes it. A `wide` one takes two columns of a grid. */
export function Field(props: { label: string; hint?: string; wide?: boolean; children: VNode }) {
  const { label, hint, wide, children } = props;
  const id = useId();
  return (
    <div class={wide ? "field wide" : "field"}>
      {/* biome-ignore lint/a11y/noLabelWithoutControl: the control is the child */}
      <label class="field">
        <span>{label}</span>
        {hint ? cloneElement(children, { "aria-describedby": id }) : children}
      </label>
      {hint && <small id={id}>{hint}</small>}
    </div>
  );
}

export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <Field label={props.label}>
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value as T)}>
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

export function Segments<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <fieldset class="segments" style={{ border: 0, padding: 0, margin: 0 }} aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          type="button"
          key={value}
          aria-pressed={value === props.value}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}

/** A dialog that is open while it is there; the browser keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void } & Kids) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** A form that does one thing: while it is done the button waits, and what goes wrong is said below. */
export function Doing(
  props: {
    button: string;
    danger?: boolean;
    onDo: () => Promise<unknown>;
    onCancel?: () => void;
  } & Kids,
) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const submit = (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(undefined);
    props.onDo().then(
      () => setBusy(false),
      (refused) => {
        setBusy(false);
        setError(refused);
      },
    );
  };
  return (
    <form class="form" onSubmit={submit}>
      {props.children}
      <Trouble error={error} />
      <div class="row">
        <button type="submit" class={props.danger ? "danger" : "main"} disabled={busy}>
          {busy ? t("working") : props.button}
        </button>
        {props.onCancel && (
          <button type="button" onClick={props.onCancel}>
            {t("cancel")}
          </button>
        )}
      </div>
    </form>
  );
}

export function Copy({ text, label = t("copy") }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // without TLS there is no clipboard: the old way
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" onClick={copy}>
      <span aria-live="polite">{done ? t("copied") : label}</span>
    </button>
  );
}
