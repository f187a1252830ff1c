/** Which views there are, and who opens them. */

import type { ComponentType } from "preact";
import { Clicks } from "../partner/clicks";
import { Earnings } from "../partner/earnings";
import { Links } from "../partner/links";
import { Orders } from "../partner/orders";
import { Rank } from "../partner/rank";
import { Team } from "../partner/team";
import type { Route } from "../route";
import { Anomalies } from "./anomalies";
import { Applications } from "./applications";
import { Cohorts } from "./cohorts";
import { Contests } from "./contests";
import { Conversions } from "./conversions";
import { Leaderboard } from "./leaderboard";
import { Live } from "./live";
import { Payouts } from "./payouts";
import { Postbacks } from "./postbacks";
import { Products } from "./products";
import { Promoters } from "./promoters";
import { Review } from "./review";
import { Settlements } from "./settlements";
import { Trend } from "./trend";
import { Webhooks } from "./webhooks";

/** Who looks: `decides` on money, or may change anything (`admin`). */
export interface Context {
  role: string;
  subject: string;
  decides: boolean;
  admin: boolean;
}

export interface ViewProps {
  route: Route;
  context: Context;
}

interface View {
  name: string;
  View: ComponentType<ViewProps>;
}

const OF_ALL: View[] = [
  { name: "live", View: Live },
  { name: "trend", View: Trend },
  { name: "promoters", View: Promoters },
  { name: "applications", View: Applications },
  { name: "conversions", View: Conversions },
  { name: "review", View: Review },
  { name: "postbacks", View: Postbacks },
  { name: "settlements", View: Settlements },
  { name: "payouts", View: Payouts },
  { name: "leaderboard", View: Leaderboard },
  { name: "contests", View: Contests },
  { name: "anomalies", View: Anomalies },
  { name: "cohorts", View: Cohorts },
  { name: "products", View: Products },
  { name: "webhooks", View: Webhooks },
];
const OF_PROMOTERS: View[] = [
  { name: "earnings", View: Earnings },
  { name: "orders", View: Orders },
  { name: "clicks", View: Clicks },
  { name: "links", View: Links },
  { name: "team", View: Team },
  { name: "rank", View: Rank },
];
const MERCHANTS = new Set(["trend", "conversions", "review", "postbacks", "cohorts", "products"]);

const ADMINS = new Set(["webhooks"]);

export function viewsOf({ role, admin }: Context): View[] {
  if (role === "promoter") return OF_PROMOTERS;
  if (role === "merchant") return OF_ALL.filter((view) => MERCHANTS.has(view.name));
  return OF_ALL.filter((view) => admin || !ADMINS.has(view.name));
}
