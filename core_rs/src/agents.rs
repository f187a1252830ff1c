//! Which user agents say of themselves that they are bots.

use aho_corasick::AhoCorasick;
use hashbrown::HashMap;

/// Words that crawlers put into their names (RFC 9309 calls them product tokens).
const WORDS: [&str; 14] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "facebookexternalhit",
    "mediapartners-google",
    "google-inspectiontool",
    "feedfetcher",
    "archiver",
    "bingpreview",
    "yandex.com/bots",
    "bytespider",
    "scrapy",
    "baiduspider",
];
/// Names of people's devices that hold such a word.
const PEOPLE: [&str; 1] = ["cubot"];

/// Verdicts kept; when full they are forgotten and found again.
const REMEMBERED: usize = 65_536;

/// What is known of a user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// First 64 bits of its BLAKE3 hash.
    pub hash: u64,
    pub bot: bool,
}

/// Looks user agents up, remembering its verdicts.
pub struct Agents {
    words: AhoCorasick,
    people: AhoCorasick,
    verdicts: HashMap<Box<[u8]>, Agent>,
}

impl Agents {
    pub fn new() -> Agents {
        let build = |words: &[&str]| {
            AhoCorasick::builder().ascii_case_insensitive(true).build(words).expect("a few short words")
        };
        Agents { words: build(&WORDS), people: build(&PEOPLE), verdicts: HashMap::new() }
    }

    pub fn look(&mut self, agent: &[u8]) -> Agent {
        if let Some(verdict) = self.verdicts.get(agent) {
            return *verdict;
        }
        let hash = u64::from_le_bytes(blake3::hash(agent).as_bytes()[..8].try_into().expect("8 bytes"));
        let verdict = Agent { hash, bot: self.words.is_match(agent) && !self.people.is_match(agent) };
        if self.verdicts.len() >= REMEMBERED {
            self.verdicts.clear();
        }
        self.verdicts.insert(agent.into(), verdict);
        verdict
    }
}

impl Default for Agents {
    fn default() -> Self {
        Agents::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crawlers_are_bots_and_people_are_not() {
        let mut agents = Agents::new();
        for (agent, bot) in [
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", true),
            ("Mozilla/5.0 (compatible; YandexBot/3.0)", true),
            ("Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36", false),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36", false),
            ("", false),
        ] {
            assert_eq!(agents.look(agent.as_bytes()).bot, bot, "{agent}");
            assert_eq!(agents.look(agent.as_bytes()).bot, bot, "{agent}, remembered");
        }
    }
}
