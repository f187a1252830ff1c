//! How an order's credit is shared over the touches before it (money.md, section 4).

use crate::money;

/// Weights are integers of 1e-9.
pub const WHOLE: u64 = 1_000_000_000;

/// Half-lives are milliseconds.
pub const DEFAULT_HALF_LIFE: u64 = 7 * 24 * 3_600_000;
pub const MIN_HALF_LIFE: u64 = 3_600_000;

/// A path is no longer. Sums of fixed-point weights times `WHOLE` stay below 2^128 by far.
pub const MAX_TOUCHES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    First,
    Last,
    Linear,
    TimeDecay,
    Position,
}

impl Model {
    pub fn from_name(name: &str) -> Option<Model> {
        Some(match name {
            "first" => Model::First,
            "last" => Model::Last,
            "linear" => Model::Linear,
            "time_decay" => Model::TimeDecay,
            "position" => Model::Position,
            _ => return None,
        })
    }
}

/// What a caller must not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    HalfLife,
    Lengths,
    NotAscending,
    TooManyTouches,
}

impl PathError {
    pub fn code(self) -> &'static str {
        match self {
            PathError::HalfLife => "bad_half_life",
            PathError::Lengths => "bad_lengths",
            PathError::NotAscending => "not_ascending",
            PathError::TooManyTouches => "too_many_touches",
        }
    }
}

/// The weight of each touch, in units of 1e-9 that sum to 1e9 (largest remainder, ties to the earlier
/// touch). `times` are the touches' instants in ms, ascending; none give no weights.
pub fn weights(model: Model, times: &[u64], half_life: u64) -> Result<Vec<u64>, PathError> {
    weights_many(model, times, &[times.len()], half_life)
}

/// The same of many paths, one after the other: `lengths` are their numbers of touches, which sum to that of `times`.
pub fn weights_many(model: Model, times: &[u64], lengths: &[usize], half_life: u64) -> Result<Vec<u64>, PathError> {
    if half_life < MIN_HALF_LIFE {
        return Err(PathError::HalfLife);
    }
    let mut weights = vec![0; times.len()];
    let (mut proportions, mut remainders) = (Vec::new(), Vec::new());
    let (mut times, mut parts) = (times, &mut weights[..]);
    for length in lengths {
        let (path, later) = times.split_at_checked(*length).ok_or(PathError::Lengths)?;
        let (of_path, of_later) = parts.split_at_mut(*length);
        if path.len() > MAX_TOUCHES {
            return Err(PathError::TooManyTouches);
        }
        if !path.is_sorted() {
            return Err(PathError::NotAscending);
        }
        proportions.clear();
        proportions.extend((0..path.len()).map(|i| proportion(model, path, i, half_life)));
        remainders.resize(path.len(), (0, 0));
        if !path.is_empty() {
            money::allocate_into(WHOLE, &proportions, of_path, &mut remainders)
                .expect("some proportion is above zero, and all are below 2^65");
        }
        (times, parts) = (later, of_later);
    }
    if times.is_empty() { Ok(weights) } else { Err(PathError::Lengths) }
}

/// What touch `i` of a path counts beside the others.
fn proportion(model: Model, path: &[u64], i: usize, half_life: u64) -> u128 {
    let last = path.len() - 1;
    match model {
        Model::First => u128::from(i == 0),
        Model::Last => u128::from(i == last),
        Model::Linear => 1,
        Model::TimeDecay => decay(path[last] - path[i], half_life),
        Model::Position => position(i, path.len()),
    }
}

/// 40 % first, 40 % last, 20 % shared by the n - 2 between: as 2(n - 2) : 1 : ... : 1 : 2(n - 2).
fn position(i: usize, n: usize) -> u128 {
    match n {
        1 | 2 => 1,
        _ if i == 0 || i == n - 1 => 2 * (n as u128 - 2),
        _ => 1,
    }
}

/// 2^(-age / half_life) as a fixed-point number with 64 fractional bits, in 128-bit integers alone, so
/// that every machine has the same. Off by less than 2^-55: each factor below is low by less than 3.5
/// units of 2^-64, each of at most 64 products adds half a unit, the cut of the exponent after 64 bits
/// and the last shift one unit each. At age 0, and at whole half-lives up to 64, it is exact. After the
/// normalisation a weight of n touches is off by less than (n + 1) × 3e-8 of its unit.
fn decay(age: u64, half_life: u64) -> u128 {
    let halvings = age / half_life;
    if halvings > 64 {
        return 0;
    }
    // the exponent's fraction, in 64 bits: for each that is set, one factor 2^(-2^-i)
    let mut bits = ((u128::from(age % half_life) << 64) / u128::from(half_life)) as u64;
    let mut value = 1u128 << 64;
    while bits != 0 {
        let i = bits.leading_zeros();
        value = (value * u128::from(ROOTS[i as usize]) + (1 << 63)) >> 64;
        bits ^= 1 << 63 >> i;
    }
    value >> halvings
}

/// 2^(-1/2), 2^(-1/4), 2^(-1/8) ... with 64 fractional bits, each the floored root of the one before.
const ROOTS: [u64; 64] = {
    let mut roots = [0; 64];
    let mut root = 1u128 << 63;
    let mut i = 0;
    while i < 64 {
        root = (root << 64).isqrt();
        roots[i] = root as u64;
        i += 1;
    }
    roots
};

/// Whose customer one becomes by clicks (money.md, section 4, *Binding*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The first click binds for good.
    First,
    /// The newest click binds.
    Last,
    /// A click inside the protection of the binding one never takes over, whoever's it is; one after it
    /// does, and is protected in its turn.
    Mixed,
}

impl Binding {
    pub fn from_name(name: &str) -> Option<Binding> {
        Some(match name {
            "first" => Binding::First,
            "last" => Binding::Last,
            "mixed" => Binding::Mixed,
            _ => return None,
        })
    }
}

/// The click that binds after all of these, which are instants in ms, ascending. A click of `mixed` is
/// protected for `protect` ms, its own instant included.
pub fn bound(mode: Binding, clicks: &[u64], protect: u64) -> Result<Option<usize>, PathError> {
    if !clicks.is_sorted() {
        return Err(PathError::NotAscending);
    }
    let after = |holder: usize, (i, at): (usize, &u64)| if at - clicks[holder] < protect { holder } else { i };
    Ok(match mode {
        Binding::First => (!clicks.is_empty()).then_some(0),
        Binding::Last => clicks.len().checked_sub(1),
        Binding::Mixed => (!clicks.is_empty()).then(|| clicks.iter().enumerate().fold(0, after)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn models_weigh_as_the_table_says() {
        let third = WHOLE / 3;
        for (model, n, expected) in [
            (Model::First, 3, vec![WHOLE, 0, 0]),
            (Model::Last, 3, vec![0, 0, WHOLE]),
            (Model::Linear, 3, vec![third + 1, third, third]),
            (Model::Position, 1, vec![WHOLE]),
            (Model::Position, 2, vec![WHOLE / 2, WHOLE / 2]),
            (Model::Position, 3, vec![400_000_000, 200_000_000, 400_000_000]),
            (Model::Position, 5, vec![400_000_000, 66_666_667, 66_666_667, 66_666_666, 400_000_000]),
            (Model::TimeDecay, 1, vec![WHOLE]),
            (Model::TimeDecay, 0, vec![]),
        ] {
            let times: Vec<u64> = (0..n).collect();
            assert_eq!(weights(model, &times, HOUR), Ok(expected), "{model:?} of {n}");
        }
        assert_eq!(weights(Model::TimeDecay, &[0, HOUR], HOUR), Ok(vec![333_333_333, 666_666_667]));
    }

    #[test]
    fn what_must_not_be_asked_is_refused() {
        assert_eq!(weights(Model::Linear, &[2, 1], HOUR), Err(PathError::NotAscending));
        assert_eq!(weights(Model::Linear, &[1], HOUR - 1), Err(PathError::HalfLife));
        assert_eq!(weights(Model::Linear, &vec![0; MAX_TOUCHES + 1], HOUR), Err(PathError::TooManyTouches));
    }

    #[test]
    fn many_paths_weigh_as_each_by_itself() {
        let times = [5, 6, HOUR, 7, 8, 3 * HOUR];
        let lengths = [3, 0, 1, 2];
        for model in [Model::First, Model::Last, Model::Linear, Model::TimeDecay, Model::Position] {
            let each = [&times[..3], &[], &times[3..4], &times[4..]].map(|path| weights(model, path, HOUR).unwrap());
            assert_eq!(weights_many(model, &times, &lengths, HOUR), Ok(each.concat()), "{model:?}");
        }
        for (lengths, why) in [
            (&[3, 4][..], PathError::Lengths),
            (&[3, 2], PathError::Lengths),
            (&[], PathError::Lengths),
            (&[usize::MAX], PathError::Lengths),
            (&[4, 2], PathError::NotAscending),
        ] {
            assert_eq!(weights_many(Model::Linear, &times, lengths, HOUR), Err(why), "{lengths:?}");
        }
        assert_eq!(weights_many(Model::Linear, &[], &[], HOUR), Ok(vec![]));
    }

    #[test]
    fn decay_is_exact_at_whole_half_lives() {
        for halvings in 0..=64 {
            assert_eq!(decay(halvings * HOUR, HOUR), 1u128 << (64 - halvings));
        }
        assert_eq!(decay(65 * HOUR, HOUR), 0);
        assert_eq!(decay(u64::MAX, HOUR), 0);
        assert_eq!(decay(0, u64::MAX), 1 << 64);
    }

    /// floor(2^64 × 2^(-age/half-life)), from Python's decimal at 80 digits.
    #[test]
    fn decay_keeps_its_error_bound() {
        for (age, half_life, exact) in EXACT {
            let off = decay(age, half_life).abs_diff(exact);
            assert!(off < 1 << 9, "{age}/{half_life}: off by {off} units of 2^-64");
        }
    }

    #[test]
    fn a_customer_is_bound_as_the_mode_says() {
        for (mode, clicks, protect, binding) in [
            (Binding::First, &[5, 90, 900][..], 10, Some(0)),
            (Binding::Last, &[5, 90, 900], 10, Some(2)),
            (Binding::Mixed, &[5, 6, 104], 100, Some(0)), // all inside the first's protection
            (Binding::Mixed, &[5, 6, 105], 100, Some(2)), // 5 to 104 are protected
            (Binding::Mixed, &[5, 105, 204], 100, Some(1)), // the second is protected in its turn
            (Binding::Mixed, &[5, 104, 105, 110], 100, Some(2)), // a click inside renews nothing
            (Binding::Mixed, &[5, 5, 5], 0, Some(2)),     // no protection: the newest
            (Binding::Mixed, &[7], 100, Some(0)),
            (Binding::First, &[], 100, None),
            (Binding::Last, &[], 100, None),
            (Binding::Mixed, &[], 100, None),
        ] {
            assert_eq!(bound(mode, clicks, protect), Ok(binding), "{mode:?} {clicks:?}");
        }
        assert_eq!(bound(Binding::First, &[2, 1], 0), Err(PathError::NotAscending));
    }

    proptest! {
        #[test]
        fn a_binding_goes_on_from_its_own_click(
            mut clicks in prop::collection::vec(0u64..1_000, 1..20), protect in 0u64..300, cut: prop::sample::Index,
            mode in prop::sample::select(vec![Binding::First, Binding::Last, Binding::Mixed]),
        ) {
            clicks.sort_unstable();
            let all = bound(mode, &clicks, protect).unwrap().unwrap();
            let cut = cut.index(clicks.len());
            let holder = bound(mode, &clicks[..=cut], protect).unwrap().unwrap();
            let rest = [&[clicks[holder]], &clicks[cut + 1..]].concat();
            let went_on = bound(mode, &rest, protect).unwrap().unwrap();
            prop_assert_eq!(all, if went_on == 0 { holder } else { cut + went_on });
        }

        #[test]
        fn decay_falls_with_age(age in 0..100 * HOUR, more in 0..HOUR, half_life in HOUR..50 * HOUR) {
            prop_assert!(decay(age + more, half_life) <= decay(age, half_life));
        }

        #[test]
        fn weights_sum_to_the_whole(
            mut times in prop::collection::vec(0u64..400 * 24 * HOUR, 1..40), half_life in HOUR..400 * 24 * HOUR,
            model in prop::sample::select(vec![Model::First, Model::Last, Model::Linear, Model::TimeDecay, Model::Position]),
        ) {
            times.sort_unstable();
            prop_assert_eq!(weights(model, &times, half_life).unwrap().iter().sum::<u64>(), WHOLE);
        }
    }

    const EXACT: [(u64, u64, u128); 13] = [
        (1, 3600000, 18446740521957492099),
        (1800000, 3600000, 13043817825332782212),
        (3599999, 3600000, 9223373812731147494),
        (3600001, 3600000, 9223370260978746049),
        (1, 604800000, 18446744052568168286),
        (604799999, 604800000, 9223372047425467485),
        (259212345, 604800000, 13705684259618264834),
        (2592000000, 604800000, 945782272930519389),
        (3283200777, 604800000, 428308311507837569),
        (1234567, 3600000, 14544068700234778391),
        (4294967297, 31536000000, 16785013269586480690),
        (17280000001, 2592000000, 181573759017773364),
        (226800001, 3600000, 1),
    ];
}
