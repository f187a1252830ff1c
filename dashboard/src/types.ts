/** What the API answers: docs at /v1/docs. */

export interface Session {
  role: string;
  name: string;
  expires: string | null;
}

export interface Merchant {
  id: string;
  name: string;
  currency: string;
  timezone: string;
  settlement: string;
  refund_days: number;
  status: string;
}

export interface Rule {
  type: string;
  value?: string;
  levels?: { level: number; value?: string; share?: string }[];
  promoter_tier_bonus?: Record<string, string>;
  [name: string]: unknown;
}

export interface Product {
  id: string;
  merchant: string;
  name: string;
  category: string;
  url: string;
  fallback_url: string | null;
  allowed_hosts: string[];
  cookie_days: number;
  hold_days: number;
  pixel_conversions: string;
  attribution: Record<string, string | number | boolean>;
  commission: Rule;
  rule_version: number;
  status: string;
  created: string;
  fraud?: Record<string, number>;
}

/** Of a product it is what is in force, and `poster_of` and `texts_of` say whose. */
export interface Template {
  owner: string;
  poster: string | null;
  texts: string[];
  poster_of?: string | null;
  texts_of?: string | null;
}

export interface Promoter {
  id: string;
  name: string;
  parent: string | null;
  kind: string;
  tax: { scheme: string };
  status: string;
  created: string;
}

export interface Team {
  direct: number;
  total: number;
  by_level: Record<string, number>;
}

export interface BalanceItem {
  currency: string;
  pending: string;
  available: string;
  reserved: string;
  paid: string;
  tax: string;
  owed: string;
}

export interface Link {
  code: string;
  url: string;
  target: string;
  promoter: string;
  product: string;
  channel: string;
  coupon: string;
  expires: string | null;
  status: string;
  created: string;
}

export interface Credit {
  promoter: string;
  level: number;
  via: string;
  weight: number;
  amount: string;
}

export interface Conversion {
  id: string;
  order_id: string;
  merchant: string;
  product: string;
  amount: string | null;
  currency: string;
  status: string;
  refunded: string;
  model: string;
  credits: Credit[];
  reason: string;
  created: string;
  platform?: string;
  others?: number;
}

export interface WhyCandidate {
  id: string;
  at: string;
  kind: string;
  promoter: string;
  product: string;
  counted: boolean;
  code: string;
  why: string;
  weight: number;
}

export interface WhyLevel {
  level: number;
  promoter: string;
  paid?: boolean;
  code?: string;
  why?: string;
  amount?: string;
  stands_at?: string;
}

export interface WhySplit {
  promoter: string;
  levels: WhyLevel[];
  weight?: number;
  month_total?: string;
  tier?: string;
  rates?: { amount: string; percent: string }[] | null;
  bonuses?: (string | null)[] | null;
  multiplier?: string;
  base?: string;
  main?: string;
  tier_bonus?: string;
  max_per_order?: string | null;
  ceiling?: string | null;
  pool?: string;
  part?: string;
  platform?: string;
}

export interface Why {
  id: string;
  order_id: string;
  merchant: string;
  product: string;
  currency: string;
  status: string;
  model: string;
  reason: string;
  why: string;
  amount: string | null;
  at: string;
  claims: number;
  found_by: string;
  bound: string;
  candidates: WhyCandidate[];
  other_candidates: number;
  rule: { version: number; effective_from: string; commission: Rule } | null;
  pool: string | null;
  split: WhySplit[];
  others: number;
  refunded: string;
  refunds: { step: string; amount: string }[];
  due: string | null;
  released: boolean;
}

export interface Figures {
  impressions: number;
  clicks: number;
  unique_visitors: number;
  bots: number;
  prefetches: number;
  conversions: number;
  ctr: number | null;
  cvr: number | null;
  currency: string | null;
  sales: string | null;
  commission: string | null;
  aov: string | null;
  roi: number | null;
  ltv: string | null;
  money: { currency: string; conversions: number; sales: string; commission: string }[];
}

export type Group = Figures & Record<string, unknown>;
export type Trend = Figures & {
  interval: "hour" | "day";
  items: (Figures & { hour?: string; day?: string })[];
};
export type Summary = Figures & { tz: string; items?: Group[] };

export interface Settlement {
  id: string;
  as_of: string;
  status: string;
  released: number;
  amounts: { currency: string; amount: string }[];
  note: string;
  created: string;
}

export interface Payout {
  id: string;
  promoter: string;
  currency: string;
  amount: string;
  tax: string;
  net: string;
  status: string;
  date: string;
  created: string;
}

export interface Preview {
  amount: string | null;
  currency: string;
  base: string;
  bonuses: (string | null)[];
  multiplier: string;
  tier_bonus: string;
  max_per_order: string | null;
  ceiling: string | null;
  pool: string;
  levels: { level: number; amount: string }[];
  platform: string;
}

export interface Live {
  at: string;
  lag: number | null;
  problem: string;
  minute: { seconds: number; hits: number; by_kind: Record<string, number>; conversions: number };
  seconds: { at: string; hits: number; counted: number; conversions: number }[];
  conversions: {
    id: string;
    order_id: string;
    product: string;
    amount: string | null;
    currency: string;
    commission: string;
    status: string;
    reason: string;
    created: string;
  }[];
}
