/** What is shown this once: a promoter's token, the key of a webhook. */

import { useState } from "preact/hooks";
import { api } from "../api";
import { t } from "../i18n";
import { Copy, Dialog, Doing } from "./basics";

export function Once({ text, onClose }: { text: string; onClose: () => void }) {
  return (
    <div class="form">
      <code style={{ overflowWrap: "anywhere" }}>{text}</code>
      <div class="row">
        <Copy text={text} />
        <button type="button" onClick={onClose}>
          {t("close")}
        </button>
      </div>
    </div>
  );
}

/** A promoter's token, made for them by an admin. */
export function Token({ promoter, onClose }: { promoter: string; onClose: () => void }) {
  const [token, setToken] = useState("");
  const make = () =>
    api<{ token: string }>("POST", "tokens", { role: `promoter:${promoter}` }).then((made) =>
      setToken(made.token),
    );
  return (
    <Dialog title={t("token.make")} onClose={onClose}>
      <p>{t("token.what", { promoter })}</p>
      {token ? (
        <Once text={token} onClose={onClose} />
      ) : (
        <Doing button={t("token.make")} onDo={make} onCancel={onClose} />
      )}
    </Dialog>
  );
}
