/** The frame: who is signed in, what they may open, where they are. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, whenSignedOut } from "./api";
import { type Key, t } from "./i18n";
import icon from "./icon.svg";
import { Apply } from "./partner/apply";
import { type Lang, prefs, setPrefs, type Theme, zones } from "./prefs";
import { useRoute } from "./route";
import type { Session } from "./types";
import { Choice, Doing, Field, Waiting } from "./ui/basics";
import { type Context, viewsOf } from "./views";

const NOBODY: Session = { role: "", name: "", expires: null };

export function App() {
  const [session, setSession] = useState<Session>();
  const [ended, setEnded] = useState(false);
  useEffect(() => {
    whenSignedOut(() => {
      setEnded(true);
      setSession(NOBODY);
    });
    api<Session>("GET", "session").then(setSession, () => setSession(NOBODY));
  }, []);
  const route = useRoute();
  if (!session) return <Waiting />;
  if (!session.role && route.view === "apply")
    return (
      <Outside>
        <Apply invite={route.part} />
      </Outside>
    );
  if (!session.role) return <SignIn ended={ended} onDone={setSession} />;
  return <Shell session={session} onSignOut={() => setSession(NOBODY)} />;
}

function Brand() {
  return (
    <div class="brand">
      <img src={icon} alt="" /> tuike <small>推客</small>
    </div>
  );
}

/** A page for who is not signed in. */
function Outside({ children }: { children: ComponentChildren }) {
  return (
    <main class="sign">
      <div class="card">
        <Brand />
        {children}
        <p />
        <Prefs />
      </div>
    </main>
  );
}

function SignIn({ ended, onDone }: { ended: boolean; onDone: (session: Session) => void }) {
  const [token, setToken] = useState("");
  useEffect(() => {
    document.title = `${t("signin.title")} · tuike`;
  });
  return (
    <Outside>
      <h1 class="stack">{t("signin.title")}</h1>
      <p class="dim">{t("signin.intro")}</p>
      {ended && <p class="note warn">{t("signin.ended")}</p>}
      <Doing
        button={t("signin.button")}
        onDo={() => api<Session>("POST", "session", { token: token.trim() }).then(onDone)}
      >
        <Field label={t("signin.token")} hint={t("signin.hint")}>
          <input
            type="password"
            autocomplete="current-password"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </Field>
      </Doing>
    </Outside>
  );
}

function Prefs() {
  return (
    <div class="grid">
      <Choice<Lang>
        label={t("prefs.language")}
        value={prefs.lang}
        options={[
          ["en", "English"],
          ["zh", "中文"],
        ]}
        onChange={(lang) => setPrefs({ lang })}
      />
      <Choice<Theme>
        label={t("prefs.theme")}
        value={prefs.theme}
        options={[
          ["auto", t("prefs.auto")],
          ["light", t("prefs.light")],
          ["dark", t("prefs.dark")],
        ]}
        onChange={(theme) => setPrefs({ theme })}
      />
    </div>
  );
}

function Shell({ session, onSignOut }: { session: Session; onSignOut: () => void }) {
  const route = useRoute();
  const [role = "", subject = ""] = session.role.split(/:(.*)/);
  const context: Context = {
    role,
    subject,
    decides: role === "admin" || role === "finance",
    admin: role === "admin",
  };
  const views = viewsOf(context);
  const current = views.find((view) => view.name === route.view) ?? views[0];
  const signOut = () => api("DELETE", "session").then(onSignOut, onSignOut);
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => document.querySelector("h1")?.focus()}>
        {t("skip")}
      </button>
      <header class="side">
        <Brand />
        <nav aria-label={t("nav.label")}>
          <ul class="nav">
            {views.map((view) => (
              <li key={view.name}>
                <a href={`#/${view.name}`} aria-current={view === current ? "page" : undefined}>
                  {t(`nav.${view.name}` as Key)}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="foot">
          <Prefs />
          <Choice
            label={t("prefs.zone")}
            value={prefs.tz}
            options={[...new Set([...zones, prefs.tz])].map((zone) => [zone, zone] as const)}
            onChange={(tz) => setPrefs({ tz })}
          />
          <div class="who">{t("signedin", { role: session.role })}</div>
          <button type="button" onClick={signOut}>
            {t("signout")}
          </button>
          <a href="/v1/docs">{t("apidocs")}</a>
        </div>
      </header>
      <main id="main">
        {current && <current.View key={`${current.name}/${route.part}`} route={route} context={context} />}
      </main>
    </div>
  );
}
