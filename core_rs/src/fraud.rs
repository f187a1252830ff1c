//! What fraud rules make of an order: from facts about the touches it is credited to, findings that a person judges.
//!
//! A finding holds money and deletes nothing. Every rule is a comparison of integers, so that any machine finds the
//! same; 0 turns a rule off. A score says how far beyond its limit something is: 50 just past it, 100 at twice the
//! limit or more. Rules that only say yes have the scores named below.

use std::net::IpAddr;

use serde::Deserialize;

/// "Shortly" before an order, and how far apart a visitor's agents are compared, ms.
pub const SHORTLY: u64 = 10 * 60_000;
/// Hours of a promoter's own past without which no hour is called a flood.
pub const LEAST_HOURS: usize = 24;
/// Clicks of an hour below which it is none, whatever the hours before it were.
pub const LEAST_FLOOD: u64 = 200;
/// Orders without which a rate of refunds says nothing.
pub const LEAST_ORDERS: u64 = 20;

const SELF_REFERRAL: u64 = 90;
const RING: u64 = 90;
const DATACENTRE: u64 = 70;
const REFERRER: u64 = 60;
const AGENT: u64 = 60;

/// A product's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Rules {
    pub max_clicks_per_ip_day: u64,
    pub min_seconds_to_order: u64,
    pub max_devices: u64,
    pub max_clicks_before_order: u64,
    pub max_visitors_per_fingerprint: u64,
    pub max_flood_score: u64,
    pub max_refund_percent: u64,
    pub self_referral: bool,
    pub datacentres: bool,
    pub mismatch: bool,
}

/// What is known of an order and of one promoter it is credited to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// From the click to the order, ms; none where no click is credited.
    pub since_click: Option<u64>,
    /// Clicks of its address on its day (UTC), up to the order.
    pub address_clicks: u64,
    /// Devices, or browsers without one, of the visitor or of the customer, whichever are more.
    pub devices: u64,
    /// Clicks of the visitor or customer in the [`SHORTLY`] before the order.
    pub clicks_before: u64,
    /// Visitors under the click's fingerprint on its day.
    pub fingerprint_visitors: u64,
    /// Agents that the visitor had within [`SHORTLY`] of the click.
    pub agents: u64,
    /// The promoter's clicks in the click's hour, and in each hour before it, from his first on.
    pub hour: u64,
    pub hours: Vec<u64>,
    /// Of the promoter's newest orders, and how many of them stand at nothing.
    pub orders: u64,
    pub undone: u64,
    /// The buyer stands in the promoter's chain, below him, or is the same person.
    pub related: bool,
    /// Promoters who buy from one another in a circle that this order closes: how many.
    pub ring: u64,
    pub datacentre: bool,
    /// The click came from the product's own site.
    pub own_site: bool,
}

/// One rule's word on an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    /// 1 to 100.
    pub score: u64,
    pub value: u64,
    /// What the product allows; 0 where the rule only says yes.
    pub limit: u64,
}

impl Rules {
    /// Of the product's JSON object; what it does not say is off. The error says what is wrong.
    pub fn parse(json: &str) -> Result<Rules, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    pub fn judge(&self, facts: &Facts) -> Vec<Finding> {
        let over = |rule, value, limit: u64| {
            (limit > 0 && value > limit).then(|| Finding { rule, score: beyond(value, limit), value, limit })
        };
        let says = |rule, on, value, score| (on && value > 0).then_some(Finding { rule, score, value, limit: 0 });
        let related = u64::from(facts.related);
        let different = facts.agents.saturating_sub(1);
        [
            over("clicks_per_ip_day", facts.address_clicks, self.max_clicks_per_ip_day),
            self.hasty(facts),
            over("devices", facts.devices, self.max_devices),
            over("clicks_before_order", facts.clicks_before, self.max_clicks_before_order),
            over("visitors_per_fingerprint", facts.fingerprint_visitors, self.max_visitors_per_fingerprint),
            over("flood", flood_score(facts.hour, &facts.hours), self.max_flood_score),
            over("refunds", refund_percent(facts), self.max_refund_percent),
            says("self_referral", self.self_referral, related, SELF_REFERRAL),
            says("ring", self.self_referral, facts.ring, RING),
            says("datacentre", self.datacentres, u64::from(facts.datacentre), DATACENTRE),
            says("referrer_mismatch", self.mismatch, u64::from(facts.own_site), REFERRER),
            says("agent_mismatch", self.mismatch, different, AGENT),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// An order sooner after its click than a person is; `value` in ms, `limit` in seconds as the product has it.
    fn hasty(&self, facts: &Facts) -> Option<Finding> {
        let limit = self.min_seconds_to_order;
        let value = facts.since_click.filter(|ms| *ms < limit.saturating_mul(1000))?;
        let score = 100 - 50 * value / (limit * 1000);
        Some(Finding { rule: "seconds_to_order", score, value, limit })
    }
}

fn beyond(value: u64, limit: u64) -> u64 {
    (50 * u128::from(value) / u128::from(limit)).min(100) as u64
}

fn refund_percent(facts: &Facts) -> u64 {
    if facts.orders < LEAST_ORDERS { 0 } else { facts.undone * 100 / facts.orders }
}

/// How many robust standard deviations an hour's clicks lie above a promoter's other hours: (clicks − median) / (1.4826 ×
/// median absolute deviation), floored. The deviation is at least that of chance arrivals (the median's root) and at
/// least 1, so that quiet hours do not make a flood of every visit. 0 where there is too little to say so.
pub fn flood_score(clicks: u64, hours: &[u64]) -> u64 {
    if clicks < LEAST_FLOOD || hours.len() < LEAST_HOURS {
        return 0;
    }
    let middle = median(hours.to_vec());
    let spread = median(hours.iter().map(|hour| hour.abs_diff(middle)).collect()).max(middle.isqrt()).max(1);
    let above = u128::from(clicks.saturating_sub(middle));
    u64::try_from(above * 10_000 / (14_826 * u128::from(spread))).unwrap_or(u64::MAX)
}

/// The lower one where there are two in the middle.
fn median(mut values: Vec<u64>) -> u64 {
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable(middle).1
}

/// Networks that an operator has listed, asked about by the prefix that a hit keeps (IPv4 /24, IPv6 /48): narrower ones
/// cannot be told from it, and are left out.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<(u128, u128)>);

/// What a line of a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Network,
    /// Narrower than what a hit keeps.
    Narrow,
    /// No network at all.
    Bad,
}

impl Networks {
    /// First and last addresses of each network that can be told, in order and apart; and what each line was.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Networks, Vec<Line>) {
        let mut ranges = Vec::new();
        let mut kinds = Vec::new();
        for line in lines {
            let parsed = range(line);
            kinds.push(match parsed {
                None => Line::Bad,
                Some((_, true)) => Line::Narrow,
                Some((range, false)) => {
                    ranges.push(range);
                    Line::Network
                }
            });
        }
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        (Networks(joined), kinds)
    }

    /// Whether one of them holds a hit's prefix whole. A text that is no prefix is in none.
    pub fn holds(&self, prefix: &str) -> bool {
        let Some(((first, last), _)) = range(prefix) else { return false };
        let after = self.0.partition_point(|network| network.0 <= first);
        after > 0 && last <= self.0[after - 1].1
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A network's first and last address (IPv4 in IPv6), and whether it is narrower than a hit's prefix.
fn range(text: &str) -> Option<((u128, u128), bool)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let (base, width, told) = match address {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), 32, 24),
        IpAddr::V6(v6) => (v6.to_bits(), 128, 48),
    };
    let bits: u32 = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    if bits > width {
        return None;
    }
    let hosts = if width == bits { 0 } else { u128::MAX >> (128 - (width - bits)) };
    Some(((base & !hosts, base | hosts), bits > told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        max_clicks_per_ip_day: 100,
        min_seconds_to_order: 5,
        max_devices: 5,
        max_clicks_before_order: 20,
        max_visitors_per_fingerprint: 50,
        max_flood_score: 10,
        max_refund_percent: 50,
        self_referral: true,
        datacentres: true,
        mismatch: true,
    };

    fn found(facts: Facts) -> Vec<(&'static str, u64, u64)> {
        RULES.judge(&facts).into_iter().map(|f| (f.rule, f.score, f.value)).collect()
    }

    #[test]
    fn each_rule_speaks_past_its_limit_and_not_at_it() {
        let quiet = vec![10; 48];
        for (facts, says) in [
            (Facts { address_clicks: 100, ..Facts::default() }, vec![]),
            (Facts { address_clicks: 101, ..Facts::default() }, vec![("clicks_per_ip_day", 50, 101)]),
            (Facts { address_clicks: 900, ..Facts::default() }, vec![("clicks_per_ip_day", 100, 900)]),
            (Facts { since_click: Some(5_000), ..Facts::default() }, vec![]),
            (Facts { since_click: Some(4_999), ..Facts::default() }, vec![("seconds_to_order", 51, 4_999)]),
            (Facts { since_click: Some(0), ..Facts::default() }, vec![("seconds_to_order", 100, 0)]),
            (Facts { devices: 5, ..Facts::default() }, vec![]),
            (Facts { devices: 6, ..Facts::default() }, vec![("devices", 60, 6)]),
            (Facts { clicks_before: 20, ..Facts::default() }, vec![]),
            (Facts { clicks_before: 30, ..Facts::default() }, vec![("clicks_before_order", 75, 30)]),
            (Facts { fingerprint_visitors: 51, ..Facts::default() }, vec![("visitors_per_fingerprint", 51, 51)]),
            (Facts { hour: 250, hours: quiet.clone(), ..Facts::default() }, vec![("flood", 100, 53)]),
            (Facts { hour: 199, hours: quiet, ..Facts::default() }, vec![]),
            (Facts { orders: 20, undone: 10, ..Facts::default() }, vec![]),
            (Facts { orders: 20, undone: 11, ..Facts::default() }, vec![("refunds", 55, 55)]),
            (Facts { orders: 19, undone: 19, ..Facts::default() }, vec![]),
            (Facts { related: true, ..Facts::default() }, vec![("self_referral", 90, 1)]),
            (Facts { ring: 2, ..Facts::default() }, vec![("ring", 90, 2)]),
            (Facts { datacentre: true, ..Facts::default() }, vec![("datacentre", 70, 1)]),
            (Facts { own_site: true, ..Facts::default() }, vec![("referrer_mismatch", 60, 1)]),
            (Facts { agents: 1, ..Facts::default() }, vec![]),
            (Facts { agents: 2, ..Facts::default() }, vec![("agent_mismatch", 60, 1)]),
        ] {
            assert_eq!(found(facts.clone()), says, "{facts:?}");
        }
    }

    #[test]
    fn zero_turns_a_rule_off() {
        let everything = Facts {
            since_click: Some(0),
            address_clicks: 10_000,
            devices: 99,
            clicks_before: 99,
            fingerprint_visitors: 99,
            agents: 9,
            hour: 100_000,
            hours: vec![1; 100],
            orders: 100,
            undone: 100,
            related: true,
            ring: 3,
            datacentre: true,
            own_site: true,
        };
        assert_eq!(Rules::default().judge(&everything), []);
        assert_eq!(RULES.judge(&everything).len(), 12);
    }

    #[test]
    fn a_flood_is_measured_by_the_promoters_own_hours() {
        let busy: Vec<u64> = (0..48).map(|hour| 900 + 10 * (hour % 20)).collect();
        assert_eq!(flood_score(1_200, &busy), 3, "a good hour of a busy promoter");
        assert_eq!(flood_score(9_000, &busy), 108);
        assert_eq!(flood_score(9_000, &busy[..23]), 0, "too little past");
        assert_eq!(flood_score(200, &[0; 24]), 134, "quiet hours have the least deviation, not none");
    }

    #[test]
    fn networks_are_told_by_the_prefix_that_a_hit_keeps() {
        let lines =
            ["192.0.2.0/24", "198.51.100.0/25", "203.0.0.0/15", "203.2.0.0/16", "2001:db8::/32", "x", "1.2.3.4/33"];
        let (networks, kinds) = Networks::parse(lines);
        let (n, b) = (Line::Network, Line::Bad);
        assert_eq!(kinds, [n, Line::Narrow, n, n, n, b, b]);
        for (prefix, held) in [
            ("192.0.2.0/24", true),
            ("192.0.3.0/24", false),
            ("198.51.100.0/24", false),
            ("203.1.255.0/24", true),
            ("203.2.7.0/24", true),
            ("203.3.0.0/24", false),
            ("2001:db8:1::/48", true),
            ("2001:db9:1::/48", false),
            ("", false),
        ] {
            assert_eq!(networks.holds(prefix), held, "{prefix}");
        }
        assert!(Networks::parse(["::/0"]).0.holds("192.0.2.0/24"), "all there is");
    }

    proptest! {
        #[test]
        fn scores_are_1_to_100_and_no_fact_is_too_large(
            value: u64, limit in 1u64.., ms: u64, seconds: u64, hour: u64, hours in prop::collection::vec(any::<u64>(), 0..40),
        ) {
            let rules = Rules { max_devices: limit, min_seconds_to_order: seconds % 1_000_001, max_flood_score: 1, ..RULES };
            let facts = Facts { devices: value, since_click: Some(ms), hour, hours, ..Facts::default() };
            for finding in rules.judge(&facts) {
                prop_assert!((1..=100).contains(&finding.score), "{:?}", finding);
            }
        }

        #[test]
        fn a_network_holds_the_prefixes_of_its_addresses(address: u32, bits in 1u32..=24) {
            let base = std::net::Ipv4Addr::from(address);
            let (networks, _) = Networks::parse([&*format!("{base}/{bits}")]);
            let prefix = crate::identity::prefix(IpAddr::V4(base));
            let flipped = std::net::Ipv4Addr::from(address ^ (1 << (32 - bits)));
            let elsewhere = crate::identity::prefix(IpAddr::V4(flipped));
            prop_assert!(networks.holds(&prefix));
            prop_assert!(!networks.holds(&elsewhere));
        }
    }
}
