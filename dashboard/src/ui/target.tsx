/** What a webhook is sent, and where. */

import { t } from "../i18n";
import { Field } from "./basics";

export const TYPES = [
  ...["conversion.created", "conversion.updated", "conversion.refunded", "conversion.rejected"],
  ...["message.set_aside", "settlement.done"],
  ...["payout.reserved", "payout.paid", "payout.failed", "payout.bounced"],
];

/** The address, and which events are sent there. */
export function Target(props: {
  url: string;
  onUrl: (url: string) => void;
  events: string[];
  onEvents: (events: string[]) => void;
}) {
  const { events } = props;
  return (
    <>
      <Field label={t("webhooks.url")}>
        <input
          type="url"
          required
          maxLength={2048}
          value={props.url}
          onInput={(event) => props.onUrl(event.currentTarget.value)}
        />
      </Field>
      <fieldset class="checks">
        <legend>{t("webhooks.events")}</legend>
        {TYPES.map((type) => (
          <label key={type}>
            <input
              type="checkbox"
              checked={events.includes(type)}
              onChange={(event) =>
                props.onEvents(
                  TYPES.filter((one) => (one === type ? event.currentTarget.checked : events.includes(one))),
                )
              }
            />{" "}
            <span class="mono">{type}</span>
          </label>
        ))}
      </fieldset>
    </>
  );
}
