//! What an authentic postback says, whether it was signed or came in a dialect. The books read it the same way once more
//! where it was refused and is to be replayed.

use jiff::Timestamp;

use super::{Outcome, labels, param_outcome};
use crate::dialect::{Dialect, TOKEN};
use crate::event::{self, Event, Kind};
use crate::money;
use crate::params::{Name, Pair, Params};

/// `source` of such an order.
pub const SOURCE: &str = "postback";
/// An order's `time` may be this old, in milliseconds.
const OLDEST_ORDER: u64 = 30 * 86_400_000;
/// What is not kept of one that was refused.
const HIDDEN: [&str; 4] = ["merchant", "ts", "sig", TOKEN];
const PERSONAL: [Name; 2] = [Name::Cust, Name::Did];
const STATUSES: [&str; 4] = ["pending", "approved", "rejected", "refunded"];

/// The pairs as our parameters.
pub fn params<'a>(pairs: &'a [Pair<'_>], dialect: Option<&'a Dialect>) -> Result<Params<'a>, Outcome> {
    let mut params = Params::new();
    for pair in pairs {
        let ours = match dialect {
            None => Some((pair.0.as_ref().into(), pair.1.as_ref().into())),
            Some(dialect) => dialect.pair(pair),
        };
        if let Some(pair) = ours {
            params.add(pair).map_err(param_outcome)?;
        }
    }
    Ok(params)
}

/// The pairs as they came (JSON), without what authenticated them and without who the customer is: that stands in the
/// event's own fields, where it can be forgotten.
pub(super) fn kept(pairs: &[Pair<'_>], dialect: Option<&Dialect>) -> Vec<u8> {
    let shown = |name: &str| {
        let ours = dialect.map_or(Some(name.trim_ascii()), |dialect| dialect.name(name));
        !ours.is_some_and(|ours| HIDDEN.contains(&ours) || Name::of(ours).is_some_and(|n| PERSONAL.contains(&n)))
    };
    let shown: Vec<_> = pairs.iter().filter(|(name, _)| shown(name)).collect();
    serde_json::to_vec(&shown).expect("pairs of text")
}

/// The order that they are about, received at `now` (ms) from a merchant with this currency, which `sells` a product or
/// not; who the merchant is and when it signed is the caller's to add. Where several things are wrong, it is the first
/// in the contract's order that is said.
pub fn order<'a>(
    params: &'a Params<'_>,
    currency: &'a str,
    now: u64,
    sells: impl FnOnce(&str) -> bool,
) -> Result<Event<'a>, Outcome> {
    if params.duplicate {
        return Err(Outcome::DuplicateParameter);
    }
    let pid = params.get(Name::Pid);
    if !pid.is_empty() && !sells(pid) {
        return Err(Outcome::UnknownProduct);
    }
    let status = match params.get(Name::Status) {
        "" => "approved",
        given => STATUSES.into_iter().find(|status| *status == given).ok_or(Outcome::UnknownStatus)?,
    };
    let (amount, currency) = worth(params, currency)?;
    let at = match params.get(Name::Time) {
        "" => now,
        given => instant(given).filter(|&at| at <= now && now - at <= OLDEST_ORDER).ok_or(Outcome::BadTime)?,
    };
    let click = event::unhex(params.get(Name::Click).as_bytes());
    let oid = params.get(Name::Oid);
    if oid.is_empty() && click.is_none() {
        return Err(Outcome::MissingParameter);
    }
    let mut event = Event {
        kind: Kind::Order,
        at,
        aff: params.get(Name::Aff),
        pid,
        oid,
        amount,
        currency,
        status,
        click,
        refund_id: params.get(Name::RefundId),
        ..Event::default()
    };
    labels(&mut event, params);
    Ok(event)
}

/// Amount in minor units and currency; without one it is in the `default`.
pub(super) fn worth<'a>(params: &'a Params<'_>, default: &'a str) -> Result<(Option<u64>, &'a str), Outcome> {
    let given = params.get(Name::Currency);
    let currency = if given.is_empty() { default } else { given };
    money::exponent(currency).ok_or(Outcome::BadCurrency)?;
    let amount = match params.get(Name::Amount) {
        "" => None,
        text => Some(money::parse_amount(text, currency).map_err(|_| Outcome::BadAmount)?),
    };
    Ok((amount, currency))
}

/// RFC 3339 or Unix seconds, in milliseconds.
fn instant(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1000);
    }
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}
