//! The settings of the `[run]` table, and the options of a run made of them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    agent::progress::Stuck,
    coordinator::options::{Options, Reuse, Unverified},
    protocol::{
        report::{Check, Origin},
        task::{EditFormat, Mode},
        usage::Micros,
    },
    settings::load::{Section, positive},
};

/// The `[run]` table of `config.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunSettings {
    /// The model, such as `anthropic/claude-sonnet-4-5` or `chat+http://127.0.0.1:8080/v1#name`.
    pub(super) model: Option<String>,
    /// The workflow's name.
    pub(super) workflow: Option<String>,
    /// Check commands; none means they are detected.
    pub(super) verify: Vec<String>,
    /// How much agents may do without asking; never `yolo`.
    #[serde(deserialize_with = "mode")]
    pub(super) mode: Mode,
    /// The edit format for all writers.
    pub(super) edit_format: Option<EditFormat>,
    /// The most money a run may spend, in dollars, or `none`.
    #[serde(deserialize_with = "money")]
    pub(super) max_cost: Option<String>,
    /// The most tokens a run may use.
    pub(super) max_tokens: Option<u64>,
    /// The most model calls.
    pub(super) max_turns: u32,
    /// The most minutes.
    pub(super) timeout_minutes: u64,
    /// The most seconds one check may take.
    #[serde(deserialize_with = "seconds")]
    pub(super) check_seconds: u64,
    /// How many agents may work at once.
    #[serde(deserialize_with = "positive")]
    pub(super) max_agents: usize,
    /// Equal calls in a row with equal results after which an agent is ended.
    #[serde(deserialize_with = "patience")]
    pub(super) stuck_repeats: u32,
    /// Edits in a row that bring an old content back after which an agent is ended.
    #[serde(deserialize_with = "patience")]
    pub(super) stuck_swings: u32,
    /// Ignored folders of the checkout that agents see read-only.
    pub(super) share: Vec<String>,
    /// Whether a commit may land that nothing verified.
    pub(super) allow_unverified: bool,
    /// Whether checkpoints of the run's record are signed.
    pub(super) sign: bool,
}

impl Default for RunSettings {
    fn default() -> Self {
        let options = Options::default();
        Self {
            model: None,
            workflow: None,
            verify: Vec::new(),
            mode: options.mode,
            edit_format: None,
            max_cost: None,
            max_tokens: None,
            max_turns: options.max_turns,
            timeout_minutes: options.timeout_ms / 60_000,
            check_seconds: options.check_timeout_ms / 1000,
            max_agents: options.max_agents,
            stuck_repeats: options.stuck.repeats,
            stuck_swings: options.stuck.swings,
            share: options.share,
            allow_unverified: false,
            sign: options.sign,
        }
    }
}

impl Section for RunSettings {
    const NAME: &'static str = "run";
    const NO_REPO: &'static [&'static str] = &[
        "model",
        "mode",
        "max_cost",
        "max_tokens",
        "max_turns",
        "timeout_minutes",
        "max_agents",
        "stuck_repeats",
        "stuck_swings",
        "share",
        "allow_unverified",
        "sign",
    ];
}

impl RunSettings {
    /// Returns the options of a run; checks that are not named are left to be detected.
    pub(super) fn options(&self, reuse: Reuse) -> Result<Options, String> {
        // An empty command passes without having looked at anything, which is no evidence.
        if self.verify.iter().any(|command| command.trim().is_empty()) {
            return Err("a check command is empty: --verify and `verify` of [run] take commands \
                        such as `make test`; without them checks are looked for"
                .to_owned());
        }
        let named = |command: &String| Check { command: command.clone(), origin: Origin::Named };
        Ok(Options {
            max_cost: self.cap()?,
            max_tokens: self.max_tokens,
            max_turns: self.max_turns,
            timeout_ms: self.timeout_minutes.saturating_mul(60_000),
            checks: self.verify.iter().map(named).collect(),
            check_timeout_ms: self.check_seconds.saturating_mul(1000),
            mode: self.mode,
            edit_format: self.edit_format,
            reuse,
            unverified: match self.allow_unverified {
                true => Unverified::Allow,
                false => Unverified::Refuse,
            },
            max_agents: self.max_agents,
            stuck: Stuck { repeats: self.stuck_repeats, swings: self.stuck_swings },
            share: self.share.clone(),
            sign: self.sign,
            ..Options::default()
        })
    }

    fn cap(&self) -> Result<Option<Micros>, String> {
        match self.max_cost.as_deref() {
            None => Ok(Options::default().max_cost),
            Some("none") => Ok(None),
            Some(text) => dollars(text).map(Some),
        }
    }
}

/// Yolo mode is said on the command line, each time anew, and nowhere else.
fn mode<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
    match Mode::deserialize(from)? {
        Mode::Yolo => Err(de::Error::custom("mode yolo is taken from the command line only")),
        mode => Ok(mode),
    }
}

/// As for the flag: in no time every check fails.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match u64::deserialize(from)? {
        0 => Err(de::Error::custom("nothing ends in no time; give a number from 1 on")),
        seconds => Ok(seconds),
    }
}

/// Once is no repetition.
fn patience<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        0 | 1 => Err(de::Error::custom("one is no repetition; give a number from 2 on")),
        times => Ok(times),
    }
}

/// Takes `3`, `1.50`, `"1.50"` and `"none"` alike, as a text that the flag's reader can read.
fn money<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    struct Amount;

    impl de::Visitor<'_> for Amount {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an amount of dollars or \"none\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<String>, E> {
            if text != "none" {
                dollars(text).map_err(E::custom)?;
            }
            Ok(Some(text.to_owned()))
        }

        // Settings that were kept with a batch may hold none.
        fn visit_unit<E: de::Error>(self) -> Result<Option<String>, E> {
            Ok(None)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<String>, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<String>, E> {
            self.visit_str(&number.to_string())
        }
    }

    from.deserialize_any(Amount)
}

/// Reads an amount in dollars.
pub(super) fn dollars(text: &str) -> Result<Micros, String> {
    let bad = || format!("`{text}` is no amount of money: give dollars such as 1.50, or none");
    let text_only = text.trim().trim_start_matches('$');
    let (whole, part) = text_only.split_once('.').unwrap_or((text_only, ""));
    if part.len() > 6 || (whole.is_empty() && part.is_empty()) {
        return Err(bad());
    }
    let number = |digits: &str| match digits {
        "" => Ok(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u64>().map_err(|_| bad())
        }
        _ => Err(bad()),
    };
    let micros = number(&format!("{part:0<6}"))?;
    let whole = number(whole)?.checked_mul(1_000_000).ok_or_else(bad)?;
    Ok(Micros(whole.saturating_add(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::Settings;

    #[test]
    fn money_is_read_exactly() {
        assert_eq!(dollars("1.50"), Ok(Micros(1_500_000)));
        assert_eq!(dollars("$0.000001"), Ok(Micros(1)));
        assert_eq!(dollars("3"), Ok(Micros(3_000_000)));
        for bad in ["", ".", "-1", "1e3", "1.0000001", "99999999999999999999", "a"] {
            assert!(dollars(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_may_give_money_as_a_number() {
        let cap = |text: &str| {
            let settings = Settings::from_texts(text, "");
            settings.section::<RunSettings>().map(|run| run.cap()).map_err(|e| e.to_string())
        };
        assert_eq!(cap("[run]\nmax_cost = 2"), Ok(Ok(Some(Micros(2_000_000)))));
        assert_eq!(cap("[run]\nmax_cost = 0.5"), Ok(Ok(Some(Micros(500_000)))));
        assert_eq!(cap("[run]\nmax_cost = \"1.50\""), Ok(Ok(Some(Micros(1_500_000)))));
        assert_eq!(cap("[run]\nmax_cost = \"none\""), Ok(Ok(None)));
        assert_eq!(cap(""), Ok(Ok(Some(Micros(3_000_000)))));
        assert!(cap("[run]\nmax_cost = true").unwrap_err().contains("an amount of dollars"));
    }

    #[test]
    fn a_wrong_amount_and_a_check_without_time_are_told_with_their_line() {
        let error = |text: &str| {
            let settings = Settings::from_texts(text, "").section::<RunSettings>();
            settings.expect_err("it is wrong").to_string()
        };
        for amount in ["-1", "nan", "\"a\""] {
            let said = error(&format!("[run]\nmax_cost = {amount}\n"));
            assert!(said.contains(":2:12: ") && said.contains("no amount of money"), "{said}");
        }
        let said = error("[run]\nmax_agents = 0\n");
        assert!(said.contains(":2:14: 0 would let nothing begin"), "{said}");
        let said = error("[run]\ncheck_seconds = 0\n");
        assert!(said.contains(":2:17: nothing ends in no time"), "{said}");
    }

    #[test]
    fn no_file_sets_yolo_and_no_repository_any_mode() {
        let read = |user: &str, repo: &str| {
            let settings = Settings::from_texts(user, repo);
            settings.section::<RunSettings>().map(|run| run.mode).map_err(|e| e.to_string())
        };
        assert_eq!(read("", ""), Ok(Mode::AllowEdits));
        assert_eq!(read("[run]\nmode = \"auto\"\n", ""), Ok(Mode::Auto));
        let yolo = read("[run]\nmode = \"yolo\"\n", "").unwrap_err();
        assert!(yolo.contains("command line only"), "{yolo}");
        for mode in Mode::ALL {
            let text = format!("[run]\nmode = \"{}\"\n", mode.name());
            assert!(read("", &text).unwrap_err().contains("a repository may not set"), "{mode:?}");
        }
    }

    fn defaults() -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(RunSettings::default()).unwrap() {
            serde_json::Value::Object(keys) => keys,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_readme_lists_every_key_with_its_default_and_owner() {
        let text = include_str!("../../README.md");
        let table = text.split("`[run]`:").nth(1).unwrap().trim_start();
        let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
        let rows: Vec<Vec<&str>> =
            rows.map(|row| row.split('|').map(str::trim).collect()).collect();
        let listed: Vec<String> = rows.iter().map(|row| format!("{} {}", row[1], row[2])).collect();
        let mut wanted: Vec<String> = defaults()
            .into_iter()
            .map(|(key, value)| match value {
                serde_json::Value::Null => format!("`{key}` none"),
                value => format!("`{key}` `{value}`"),
            })
            .collect();
        let order = |row: &String| listed.iter().position(|other| other == row);
        wanted.sort_by_key(order);
        assert_eq!(listed, wanted);
        for row in rows {
            let private = RunSettings::NO_REPO.contains(&row[1].trim_matches('`'));
            assert_eq!(row[4], if private { "no" } else { "yes" }, "{}", row[1]);
        }
    }

    #[test]
    fn what_init_writes_is_what_a_repository_may_set() {
        let text = include_str!("init.toml").replace("@VERIFY@", "\"make test\"");
        let settings = Settings::from_texts("", &text).section::<RunSettings>().unwrap();
        assert_eq!(settings.verify, ["make test"]);
        // With every comment sign of a setting taken away it is still right, and complete.
        let line =
            |line: &str| line.strip_prefix("# ").filter(|l| l.contains(" = ")).map(str::to_owned);
        let all: Vec<String> =
            text.lines().map(|text| line(text).unwrap_or_else(|| text.to_owned())).collect();
        let all = all.join("\n");
        let settings = Settings::from_texts("", &all).section::<RunSettings>().unwrap();
        assert_eq!(settings.workflow.as_deref(), Some("resolve"));
        for key in defaults().keys().filter(|key| !RunSettings::NO_REPO.contains(&key.as_str())) {
            assert!(all.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
        }
    }
}
