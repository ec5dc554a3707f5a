//! A question to the user: how it looks, and what the lines typed at it mean.

use crate::{
    protocol::request::{Approval, Question},
    ui::text::{Colour, Ink, escape},
};

/// What a typed line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// An answer.
    Answer(Approval),
    /// The next line is what shall run instead.
    Edit,
    /// None of what was offered.
    Unclear,
}

/// Returns the question as it is shown.
pub(super) fn text(question: &Question, color: Colour) -> String {
    let head = color.paint(Ink::Warn, "? May this run?");
    let Question { agent, what, why, stake, cwd, .. } = question;
    let mut text = format!("{head} {} asks, in {}\n", escape(agent.as_str()), escape(cwd));
    text.push_str(&what.lines().map(|line| format!("    {}\n", escape(line))).collect::<String>());
    text.push_str(&format!("  {} ({})\n", escape(why), escape(stake)));
    if let Some(rules) = rules(question) {
        text.push_str(&format!("  always would allow: {rules}\n"));
    }
    text
}

/// Returns the line that says what can be typed.
pub(super) fn keys(question: &Question) -> String {
    let always = if question.rules.is_empty() { "" } else { ", a = always" };
    let edit = if question.text.is_none() { "" } else { ", e = edit" };
    format!("  [y = once{always}{edit}, anything else = no] ")
}

/// Returns what a line means.
pub(super) fn word(line: &str, question: &Question) -> Word {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Word::Answer(Approval::Yes),
        "a" | "always" if !question.rules.is_empty() => Word::Answer(Approval::Always),
        "e" | "edit" if question.text.is_some() => Word::Edit,
        "a" | "always" | "e" | "edit" => Word::Unclear,
        _ => Word::Answer(Approval::No),
    }
}

fn rules(question: &Question) -> Option<String> {
    let rules: Vec<String> =
        question.rules.iter().map(|rule| format!("`{}`", escape(&rule.to_string()))).collect();
    (!rules.is_empty()).then(|| rules.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ids::AgentId, request::Bound, rule::Rule};

    fn question() -> Question {
        Question {
            agent: AgentId::new("implement@1"),
            what: "bash ./x\u{202e}\n y".to_owned(),
            why: "no rule of yours allows it".to_owned(),
            stake: "a snapshot takes it back".to_owned(),
            cwd: "/repo\x1b[2K".to_owned(),
            rules: Vec::new(),
            text: Some("./x".to_owned()),
            bound: Bound("b".to_owned()),
        }
    }

    #[test]
    fn a_question_shows_what_would_run_and_nothing_acts_on_the_terminal() {
        let shown = text(&question(), Colour::Never);
        assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(shown.contains("implement@1") && shown.contains("bash ./x"), "{shown}");
    }

    #[test]
    fn only_what_is_offered_can_be_said() {
        let mut question = question();
        assert_eq!(word("Y\n", &question), Word::Answer(Approval::Yes));
        assert_eq!(word("a", &question), Word::Unclear);
        assert_eq!(word("e", &question), Word::Edit);
        for no in ["", "n", "yes!", "y y", "always allow"] {
            assert_eq!(word(no, &question), Word::Answer(Approval::No), "{no}");
        }
        question.rules = vec![Rule { program: "x".to_owned(), ..Rule::default() }];
        assert_eq!(word(" always ", &question), Word::Answer(Approval::Always));
        assert!(
            keys(&question).contains("always") && text(&question, Colour::Never).contains("`x`")
        );
    }
}
