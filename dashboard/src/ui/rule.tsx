/** A commission rule with its calculator: what an example order would pay is shown before anything is saved. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, api } from "../api";
import { percent } from "../format";
import { t } from "../i18n";
import type { Preview, Product, Rule } from "../types";
import { Card, Doing, Field, Money, Trouble } from "./basics";

const PAUSE_MS = 250;

const plain = (value: string) => value.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

/** A rule in a few words: "Percentage 15 %, levels 10 / 3 / 1". */
export function ruleText(rule: Rule): string {
  const unit = rule.type === "percentage" ? " %" : "";
  const levels = rule.levels
    ?.map((level) => (level.value ? plain(level.value) : `${level.share} %`))
    .join(" / ");
  const head = [t(`rule.${rule.type}` as "rule.fixed"), rule.value ? plain(rule.value) + unit : ""].filter(
    Boolean,
  );
  return head.join(" ") + (levels ? t("rule.levels", { levels }) : "");
}

interface Props {
  product: Product;
  currency: string;
  admin: boolean;
  previews: boolean;
  onSaved: () => void;
}

export function RuleCard({ product, currency, admin, previews, onSaved }: Props) {
  const [rule, setRule] = useState<Rule>(product.commission);
  const changed = JSON.stringify(rule) !== JSON.stringify(product.commission);
  const save = () =>
    api("PATCH", `products/${encodeURIComponent(product.id)}`, { commission: rule }).then(onSaved);
  return (
    <div class="cols">
      <Card title={t("rule.title")}>
        {admin ? (
          <Doing button={t("rule.save")} onDo={changed ? save : async () => {}}>
            <Editor rule={rule} onChange={setRule} readOnly={false} />
            {changed && <p class="note warn">{t("rule.changed")}</p>}
          </Doing>
        ) : (
          <Editor rule={rule} onChange={setRule} readOnly />
        )}
      </Card>
      {previews && (
        <Card title={t("rule.calculator")}>
          <Calculator rule={rule} before={changed ? product.commission : undefined} currency={currency} />
        </Card>
      )}
    </div>
  );
}

const SIMPLE = new Set(["type", "value", "levels"]);

/** Fields for a percentage or a fixed sum with levels; JSON for all that a rule can be. */
function Editor({
  rule,
  onChange,
  readOnly,
}: {
  rule: Rule;
  onChange: (rule: Rule) => void;
  readOnly: boolean;
}) {
  const simple =
    (rule.type === "percentage" || rule.type === "fixed") && !rule.levels?.some((level) => level.share);
  const level = (n: number) => rule.levels?.find((one) => one.level === n)?.value ?? "";
  const setLevel = (n: number, value: string) => {
    const others = (rule.levels ?? []).filter((one) => one.level !== n);
    const levels = value
      ? [...others, { level: n, value }].sort((one, other) => one.level - other.level)
      : others;
    const { levels: _, ...rest } = rule;
    onChange(levels.length ? { ...rest, levels } : rest);
  };
  return (
    <>
      {simple && (
        <div class="grid">
          <Field label={t("rule.type")}>
            <select
              value={rule.type}
              disabled={readOnly}
              onChange={(event) => onChange({ ...rule, type: event.currentTarget.value })}
            >
              <option value="percentage">{t("rule.percentage")}</option>
              <option value="fixed">{t("rule.fixed")}</option>
            </select>
          </Field>
          <Field label={t(rule.type === "percentage" ? "rule.pool_percent" : "rule.pool_fixed")}>
            <input
              inputMode="decimal"
              value={rule.value ?? ""}
              readOnly={readOnly}
              onInput={(event) => onChange({ ...rule, value: event.currentTarget.value })}
            />
          </Field>
          {[1, 2, 3].map((n) => (
            <Field key={n} label={t("rule.level", { level: n })}>
              <input
                inputMode="decimal"
                value={level(n)}
                readOnly={readOnly}
                onInput={(event) => setLevel(n, event.currentTarget.value)}
              />
            </Field>
          ))}
        </div>
      )}
      <Json
        rule={rule}
        onChange={onChange}
        readOnly={readOnly}
        open={!simple || Object.keys(rule).some((name) => !SIMPLE.has(name))}
      />
    </>
  );
}

function Json(props: { rule: Rule; onChange: (rule: Rule) => void; readOnly: boolean; open: boolean }) {
  const [draft, setDraft] = useState<string>();
  const [wrong, setWrong] = useState("");
  const edit = (text: string) => {
    setDraft(text);
    try {
      props.onChange(JSON.parse(text));
      setWrong("");
    } catch (error) {
      setWrong(String(error));
    }
  };
  return (
    <details open={props.open}>
      <summary>{t("rule.json")}</summary>
      <textarea
        class="mono"
        rows={8}
        spellcheck={false}
        aria-label={t("rule.json")}
        readOnly={props.readOnly}
        value={wrong ? draft : JSON.stringify(props.rule, null, 2)}
        onChange={(event) => edit(event.currentTarget.value)}
      />
      {wrong && <p class="note bad">{wrong}</p>}
    </details>
  );
}

function usePreview(rule: Rule | undefined, amount: string, currency: string, depth: number) {
  const [state, setState] = useState<{ preview?: Preview; error?: ApiError }>({});
  const body = rule && JSON.stringify({ rule, amount: amount || null, currency, depth });
  useEffect(() => {
    if (!body) return setState({});
    let left = false;
    const timer = setTimeout(() => {
      api<Preview>("POST", "rules/preview", JSON.parse(body)).then(
        (preview) => left || setState({ preview }),
        (error) =>
          left ||
          setState({ error: error instanceof ApiError ? error : new ApiError(0, "internal", String(error)) }),
      );
    }, PAUSE_MS);
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [body]);
  return state;
}

function Calculator({ rule, before, currency }: { rule: Rule; before: Rule | undefined; currency: string }) {
  const [amount, setAmount] = useState("100");
  const [depth, setDepth] = useState(3);
  const now = usePreview(rule, amount.trim(), currency, depth);
  const then = usePreview(before, amount.trim(), currency, depth);
  return (
    <div class="form">
      <div class="grid">
        <Field label={t("amount_in", { currency })}>
          <input
            inputMode="decimal"
            value={amount}
            onInput={(event) => setAmount(event.currentTarget.value)}
          />
        </Field>
        <Field label={t("rule.depth")}>
          <select value={depth} onChange={(event) => setDepth(Number(event.currentTarget.value))}>
            {[1, 2, 3].map((n) => (
              <option key={n} value={n}>
                {n}
              </option>
            ))}
          </select>
        </Field>
      </div>
      <Trouble error={now.error} />
      <div aria-live="polite">{now.preview && <Split of={now.preview} before={then.preview} />}</div>
      <p class="dim">{t("rule.preview_of")}</p>
    </div>
  );
}

function Split({ of, before }: { of: Preview; before: Preview | undefined }) {
  const money = (amount: string, old?: string) => (
    <>
      {old !== undefined && old !== amount && <s class="dim">{old}</s>}{" "}
      <Money amount={amount} currency={of.currency} />
    </>
  );
  const part = (amount: string) =>
    of.amount && Number(of.amount) ? percent(Number(amount) / Number(of.amount)) : "";
  return (
    <dl class="sum">
      <dt>{t("why.base")}</dt>
      <dd>{money(of.base, before?.base)}</dd>
      {of.bonuses.map(
        (bonus) =>
          bonus && (
            <>
              <dt>{t("why.bonus")}</dt>
              <dd>{money(bonus)}</dd>
            </>
          ),
      )}
      {of.multiplier !== "1" && (
        <>
          <dt>{t("why.multiplier")}</dt>
          <dd>× {of.multiplier}</dd>
        </>
      )}
      {of.ceiling && (
        <>
          <dt>{t("why.ceiling")}</dt>
          <dd>{money(of.ceiling)}</dd>
        </>
      )}
      <dt class="total">{t("why.pool")}</dt>
      <dd class="total">{money(of.pool, before?.pool)}</dd>
      {of.levels.map((level) => (
        <>
          <dt>
            {t("why.level", { level: level.level })} <span class="dim">{part(level.amount)}</span>
          </dt>
          <dd>{money(level.amount, before?.levels.find((one) => one.level === level.level)?.amount)}</dd>
        </>
      ))}
      <dt>{t("platform")}</dt>
      <dd>{money(of.platform, before?.platform)}</dd>
    </dl>
  );
}
