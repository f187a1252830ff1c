/** The form of someone who was invited, and what became of it: needs no sign-in. */

import { useEffect, useState } from "preact/hooks";
import { api, useApi } from "../api";
import { said, t } from "../i18n";
import { Doing, Field, Status, Trouble } from "../ui/basics";
import { Code } from "../ui/fields";

interface Standing {
  id: string;
  promoter: string;
  status: string;
  reason: string;
}

export function Apply({ invite }: { invite: string }) {
  const kept = `tuike.application.${invite}`;
  const [sent, setSent] = useState(localStorage.getItem(kept) ?? "");
  useEffect(() => {
    document.title = `${t("apply.title")} · tuike`;
  });
  const done = (made: Standing) => {
    localStorage.setItem(kept, made.id);
    setSent(made.id);
  };
  return (
    <>
      <h1>{t("apply.title")}</h1>
      {sent ? <What id={sent} /> : <Form invite={invite} onDone={done} />}
      <p>
        <a href="#/">{t("signin.title")}</a>
      </p>
    </>
  );
}

function Form({ invite, onDone }: { invite: string; onDone: (made: Standing) => void }) {
  const [code, setCode] = useState("");
  const [name, setName] = useState("");
  const [note, setNote] = useState("");
  const body = { invite, promoter: code.trim(), name: name.trim(), note: note.trim() };
  return (
    <>
      <p class="dim">{t("apply.intro", { invite })}</p>
      <Doing button={t("apply.send")} onDo={() => api<Standing>("POST", "applications", body).then(onDone)}>
        <Field label={t("name")}>
          <input
            required
            maxLength={256}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </Field>
        <Code label={t("apply.code")} value={code} onChange={setCode} />
        <Field label={t("apply.note")} hint={t("apply.note_hint")}>
          <textarea
            rows={3}
            maxLength={512}
            value={note}
            onInput={(event) => setNote(event.currentTarget.value)}
          />
        </Field>
      </Doing>
    </>
  );
}

function What({ id }: { id: string }) {
  const { data, error } = useApi<Standing>(`applications/${id}/status`);
  return (
    <div role="status">
      <Trouble error={error} />
      {data && (
        <>
          <p>
            {data.promoter}: <Status of={data.status} /> {data.reason}
          </p>
          <p>{said("apply", data.status)}</p>
        </>
      )}
    </div>
  );
}
