//! Which user agents are bots: by what they say of themselves, and by what every person's browser says and they do not.

mod words;

use aho_corasick::AhoCorasick;
use hashbrown::HashMap;

/// Verdicts kept; when full they are forgotten and found again.
const REMEMBERED: usize = 65_536;
/// Longer agents are judged each time they come, so that strangers cannot fill the memory.
const LONGEST_REMEMBERED: usize = 512;

/// What is known of a user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// First 64 bits of its BLAKE3 hash.
    pub hash: u64,
    pub bot: bool,
}

/// The kinds of words, in the order in which the automaton has them.
const KINDS: [&[&str]; 6] =
    [words::SIGNS, words::LINKS, words::PEOPLE, words::LIBRARIES, words::DEVICES, words::ENGINES];

/// Looks user agents up, remembering its verdicts.
pub struct Agents {
    words: AhoCorasick,
    /// The number of the first word of each kind but the first.
    kinds: [usize; KINDS.len() - 1],
    verdicts: HashMap<Box<[u8]>, Agent>,
}

impl Agents {
    pub fn new() -> Agents {
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(KINDS.into_iter().flatten())
            .expect("a few hundred short words");
        let mut first = 0;
        let kinds = std::array::from_fn(|kind| {
            first += KINDS[kind].len();
            first
        });
        Agents { words, kinds, verdicts: HashMap::new() }
    }

    pub fn look(&mut self, agent: &[u8]) -> Agent {
        if let Some(verdict) = self.verdicts.get(agent) {
            return *verdict;
        }
        let hash = u64::from_le_bytes(blake3::hash(agent).as_bytes()[..8].try_into().expect("8 bytes"));
        let verdict = Agent { hash, bot: self.is_bot(agent) };
        if agent.len() <= LONGEST_REMEMBERED {
            if self.verdicts.len() >= REMEMBERED {
                self.verdicts.clear();
            }
            self.verdicts.insert(agent.into(), verdict);
        }
        verdict
    }

    /// No agent at all says nothing.
    fn is_bot(&self, agent: &[u8]) -> bool {
        let agent = agent.trim_ascii();
        if agent.is_empty() {
            return false;
        }
        let mut found = [0u32; KINDS.len()];
        for word in self.words.find_overlapping_iter(agent) {
            found[self.kinds.partition_point(|first| *first <= word.pattern().as_usize())] += 1;
        }
        let [signs, links, people, libraries, devices, engines] = found;
        if signs + links > people {
            return true;
        }
        if libraries > 0 || devices > 0 || agent.len() < SHORTEST_NAME {
            return false;
        }
        let Some(rest) = agent.strip_prefix(b"Mozilla/") else { return true };
        let names_itself = rest.contains(&b'/');
        contains(rest, COMPATIBLE) || (engines == 0 && names_itself)
    }
}

/// What robots put before their names, and of browsers only those of old systems.
const COMPATIBLE: &[u8] = b"compatible";
/// Shorter agents name nothing.
const SHORTEST_NAME: usize = 4;

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

impl Default for Agents {
    fn default() -> Self {
        Agents::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTS: [&str; 14] = [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; YandexBot/3.0)",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 Chrome/W.X Mobile Safari/537.36 (compatible; GoogleOther)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (compatible; SomethingNew/1.0)",
        "SomethingNew/1.0",
        "Mozilla/5.0 OpenVAS/21.4",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/98.0 Safari/537.36; Devin/1.0; +devin.ai",
        "Baiduspider-render/2.0",
        "Twitterbot/1.0",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Safari/537.36 GTmetrix",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "CCBot/2.0",
    ];
    const NO_BOTS: [&str; 18] = [
        "",
        "x",
        "Mozilla/5.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3.1 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.34 NetType/WIFI Language/zh_CN",
        "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36",
        "Mozilla/5.0 (Linux; Android 7.1.2; M_bot_tab_71 Build/NHG47K) AppleWebKit/537.36 Chrome/58.0.3029.83 Safari/537.36",
        "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/87.0.4280.88 Safari/537.36 HbbTV/1.6.1 (+DRM; LGE/KTC/BOTECH)",
        "Dalvik/2.1.0 (Linux; U; Android 13; SM-S918B Build/TP1A.220624.014)",
        "MyShop/3.1 CFNetwork/1404.0.5 Darwin/22.3.0",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80; U; en) Presto/2.5.25 Version/10.54",
        "Mozilla/5.0 (en-us) AppleWebKit/525.13 (KHTML, like Gecko) Version/3.1 Safari/525.13",
        "Nokia6300/2.0 (05.50) Profile/MIDP-2.0 Configuration/CLDC-1.1",
        "curl/8.5.0",
        "Python/3.11 aiohttp/3.14.5",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
    ];

    #[test]
    fn crawlers_are_bots_and_people_and_libraries_are_not() {
        let mut agents = Agents::new();
        for (agent, bot) in BOTS.map(|agent| (agent, true)).into_iter().chain(NO_BOTS.map(|agent| (agent, false))) {
            assert_eq!(agents.look(agent.as_bytes()).bot, bot, "{agent}");
            assert_eq!(agents.look(agent.as_bytes()).bot, bot, "{agent}, remembered");
        }
    }

    #[test]
    fn long_agents_are_judged_and_not_remembered() {
        let mut agents = Agents::new();
        let long = format!("Mozilla/5.0 (Windows NT 10.0) {} Googlebot", "x".repeat(LONGEST_REMEMBERED));
        assert!(agents.look(long.as_bytes()).bot);
        assert!(agents.verdicts.is_empty());
    }
}
