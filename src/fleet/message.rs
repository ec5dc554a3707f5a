//! The message of what lands, made by a template of the user's. Pure.
//!
//! The trailers that grafter wrote stay below it: they say where a commit comes from.

use std::{fmt::Write, str::FromStr};

use thiserror::Error;

use crate::{
    fleet::state::TaskState,
    protocol::{batch::Made, report::Check},
    settings::nearest,
};

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// Why a text is no template.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// A placeholder that nobody knows.
    #[error("unknown placeholder `{{{name}}}`{near} (known: {known})", known = known())]
    Unknown {
        /// Its name.
        name: String,
        /// The nearest one that is known.
        near: String,
    },
    /// A brace stands alone.
    #[error(
        "a brace stands alone at `{0}`: write {{{{ or }}}} for one that shall be in the message"
    )]
    Brace(String),
    /// Every message would be empty.
    #[error("the template is empty")]
    Empty,
}

/// What is known of a task that lands.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The task.
    pub task: &'a TaskState,
    /// What was made.
    pub made: &'a Made,
    /// The checks that it must pass.
    pub checks: &'a [Check],
    /// The message that its own commit has; empty where there are many.
    pub own: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Id,
    Title,
    Body,
    Branch,
    Run,
    Checks,
}

const PLACES: [(&str, Place); 6] = [
    ("id", Place::Id),
    ("title", Place::Title),
    ("body", Place::Body),
    ("branch", Place::Branch),
    ("run", Place::Run),
    ("checks", Place::Checks),
];

fn known() -> String {
    PLACES.map(|(name, _)| format!("{{{name}}}")).join(", ")
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let from = &rest[at..];
            let brace = &from[..1];
            if from[1..].starts_with(brace) {
                plain.push_str(brace);
                rest = &from[2..];
                continue;
            }
            let alone = || TemplateError::Brace(from.chars().take(20).collect());
            let inner = from.strip_prefix('{').ok_or_else(alone)?;
            let (name, after) = inner.split_once('}').ok_or_else(alone)?;
            pieces.extend([Piece::Text(std::mem::take(&mut plain)), Piece::Place(place(name)?)]);
            rest = after;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        match text.trim().is_empty() {
            true => Err(TemplateError::Empty),
            false => Ok(Self(pieces)),
        }
    }
}

fn place(name: &str) -> Result<Place, TemplateError> {
    let found = PLACES.iter().find(|(known, _)| *known == name);
    found.map(|(_, place)| *place).ok_or_else(|| TemplateError::Unknown {
        name: name.to_owned(),
        near: nearest::hint(name, PLACES.iter().map(|(known, _)| *known)),
    })
}

impl Template {
    /// Returns the message of a commit with all of a task's work.
    pub fn render(&self, facts: &Facts<'_>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Place(place) => text.push_str(&facts.of(*place)),
            }
        }
        let mut text = tidy(&text);
        if text.is_empty() {
            // Whatever a template leaves empty, git takes no commit without words.
            facts.task.task.headline().clone_into(&mut text);
        }
        let own = trailers(facts.own);
        let missing: Vec<_> =
            own.lines().filter(|line| !text.lines().any(|l| l == *line)).collect();
        if !missing.is_empty() {
            let gap = if trailers(&text).is_empty() { "\n\n" } else { "\n" };
            // Writing to a string does not fail.
            let _ = write!(text, "{gap}{}", missing.join("\n"));
        }
        text + "\n"
    }
}

impl Facts<'_> {
    fn of(&self, place: Place) -> String {
        let task = &self.task.task;
        match place {
            Place::Id => task.id.clone(),
            Place::Title => task.headline().to_owned(),
            Place::Body => task.body.trim().to_owned(),
            Place::Branch => self.made.branch.clone(),
            Place::Run => self.task.runs.last().map_or_else(String::new, ToString::to_string),
            Place::Checks => {
                let commands = self.checks.iter().map(|check| check.command.trim());
                commands.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// Returns a text without the blank lines that empty placeholders leave.
fn tidy(text: &str) -> String {
    let mut lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n")
}

/// Returns the last paragraph of a message if it is one of trailers; the first one never is.
fn trailers(message: &str) -> &str {
    let is_key = |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_trailer =
        |line: &str| line.split_once(": ").is_some_and(|(key, _)| !key.is_empty() && is_key(key));
    match message.trim_end().rsplit_once("\n\n") {
        Some((_, last)) if last.lines().all(is_trailer) => last,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        batch::BatchTask,
        ids::{Oid, RunId},
        report::{DiffStat, Origin},
    };

    fn rendered(template: &str, (title, body): (&str, &str), own: &str) -> String {
        let (title, body) = (title.to_owned(), body.to_owned());
        let task = BatchTask { id: "t1".to_owned(), title, body, ..BatchTask::default() };
        let mut task = TaskState::new(task);
        task.runs = vec![RunId::new("1122-ab")];
        let made = Made {
            commit: Oid::new("c"),
            base: Oid::new("b"),
            branch: "grafter/1122-ab/t1".to_owned(),
            stat: DiffStat::default(),
            checked: Vec::new(),
        };
        let check = |command: &str| Check { command: command.to_owned(), origin: Origin::Named };
        let checks = ["make test", "make lint"].map(check);
        let facts = Facts { task: &task, made: &made, checks: &checks, own };
        template.parse::<Template>().unwrap().render(&facts)
    }

    #[test]
    fn every_placeholder_is_filled_in() {
        let all = "{id}: {title} {{x}}\n\n{body}\n\nFrom {branch} by {run}, checked with {checks}.";
        insta::assert_snapshot!(rendered(all, ("Mend it", "It is {id} broken.\n"), ""), @"
        t1: Mend it {x}

        It is {id} broken.

        From grafter/1122-ab/t1 by 1122-ab, checked with make test; make lint.
        ");
    }

    #[test]
    fn what_is_empty_leaves_no_gap_and_no_message_is_empty() {
        assert_eq!(rendered("{title}\n\n{body}\n\nEnd", ("T", ""), ""), "T\n\nEnd\n");
        assert_eq!(rendered("{body}", ("T", ""), ""), "T\n");
        assert_eq!(rendered("{title}", ("", ""), ""), "t1\n");
    }

    #[test]
    fn the_trailers_that_were_written_stay_and_stand_there_once() {
        let own = "Old words\n\nGrafter-Run: r\nAssisted-by: grafter/0\n";
        let trailers = "Grafter-Run: r\nAssisted-by: grafter/0\n";
        assert_eq!(rendered("{id}", ("T", ""), own), format!("t1\n\n{trailers}"));
        let with = rendered("{id}\n\nCloses: {id}\nGrafter-Run: r", ("T", ""), own);
        assert_eq!(with, "t1\n\nCloses: t1\nGrafter-Run: r\nAssisted-by: grafter/0\n");
        assert_eq!(rendered("{id}", ("T", ""), "fix: no trailer\n"), "t1\n");
        assert_eq!(rendered("{id}", ("T", ""), "T\n\nsee: this\nand that\n"), "t1\n");
    }

    #[test]
    fn what_is_no_template_is_told_with_what_would_be() {
        let error = |text: &str| text.parse::<Template>().unwrap_err().to_string();
        insta::assert_snapshot!(error("{titel}"), @"unknown placeholder `{titel}`; did you mean `title`? (known: {id}, {title}, {body}, {branch}, {run}, {checks})");
        insta::assert_snapshot!(error("a {id"), @"a brace stands alone at `{id`: write {{ or }} for one that shall be in the message");
        insta::assert_snapshot!(error("a } b"), @"a brace stands alone at `} b`: write {{ or }} for one that shall be in the message");
        insta::assert_snapshot!(error(" \n"), @"the template is empty");
    }
}
