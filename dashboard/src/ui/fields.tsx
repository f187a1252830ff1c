/** Fields that several views ask for in the same way. */

import { said, t } from "../i18n";
import { Choice, Field } from "./basics";

/** Which status a list shows; "" is all of them. */
export function StatusChoice<T extends string>(props: {
  of: readonly T[];
  value: T;
  onChange: (status: T) => void;
}) {
  const options = props.of.map((one) => [one, one ? said("status", one) : t("all")] as const);
  return <Choice label={t("status")} value={props.value} options={options} onChange={props.onChange} />;
}

/** The code of something new. */
export function Code(props: { label: string; value: string; onChange: (code: string) => void }) {
  return (
    <Field label={props.label} hint={t("code.hint")}>
      <input
        required
        pattern="[A-Za-z0-9._\-]{1,64}"
        value={props.value}
        onInput={(event) => props.onChange(event.currentTarget.value)}
      />
    </Field>
  );
}

/** Why a person decides so. */
export function Reason(props: {
  label?: string;
  hint?: string;
  value: string;
  onChange: (reason: string) => void;
}) {
  return (
    <Field label={props.label ?? t("reason")} {...(props.hint ? { hint: props.hint } : {})}>
      <input
        required
        maxLength={512}
        value={props.value}
        onInput={(event) => props.onChange(event.currentTarget.value)}
      />
    </Field>
  );
}
