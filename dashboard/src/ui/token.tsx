/** A promoter's token, made for them by an admin and shown once. */

import { useState } from "preact/hooks";
import { api } from "../api";
import { t } from "../i18n";
import { Copy, Dialog, Doing } from "./basics";

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
        <div class="form">
          <code style={{ overflowWrap: "anywhere" }}>{token}</code>
          <div class="row">
            <Copy text={token} />
            <button type="button" onClick={onClose}>
              {t("close")}
            </button>
          </div>
        </div>
      ) : (
        <Doing button={t("token.make")} onDo={make} onCancel={onClose} />
      )}
    </Dialog>
  );
}
