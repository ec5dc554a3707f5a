//! The table of permission modes: what becomes of each kind of call.
//!
//! Phases are another matter: what a phase may not do, no mode allows. Where nobody can be asked,
//! ask means deny.

use crate::{
    guard::gate::{Blast, Judgement, Verdict},
    protocol::{
        task::Mode,
        tool::{Class, Risk},
    },
};

/// Returns the mode of a child: its own can only be stricter than its parent's.
pub fn inherited(parent: Mode, own: Option<Mode>) -> Mode {
    own.map_or(parent, |own| own.min(parent))
}

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// Looks, talks to the scaffold, or runs the checks that the user named.
    Free,
    /// Writes in the agent's own tree.
    Write,
    /// A command that no check stopped and that needs no shell.
    Direct,
    /// A command that needs a shell, or that a check asks about.
    Shell,
    /// A command that is not understood: what was found is not all there is.
    Unread,
    /// It reaches beyond the tree and cannot be taken back.
    Remote,
    /// A command that a check denies.
    Denied,
    /// A command that would touch what no mode gives away.
    Floor,
}

/// What a mode says to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It runs.
    Run,
    /// It runs if a rule of the user allows it, else it is asked for.
    Rule,
    /// As `Rule`, and small work on files runs.
    Files,
    /// As `Rule`, and what is plainly ordinary runs.
    Ordinary,
    /// It runs if it is ordinary and a rule allows it, else it is asked for.
    Both,
    /// It is asked for until the user has said yes to one of its kind in this run.
    Once,
    /// It is asked for.
    Ask,
    /// It does not run.
    Deny,
}

/// Returns what a mode says to a row.
pub fn cell(row: Row, mode: Mode) -> Cell {
    use Cell::{Ask, Both, Deny, Files, Once, Ordinary, Rule, Run};
    let [default, allow_edits, auto, bypass, yolo] = match row {
        Row::Free => [Run, Run, Run, Run, Run],
        Row::Write => [Ask, Run, Run, Run, Run],
        Row::Direct => [Rule, Files, Ordinary, Run, Run],
        Row::Shell => [Rule, Rule, Ordinary, Run, Run],
        Row::Unread => [Ask, Ask, Ask, Ask, Ask],
        Row::Remote => [Ask, Ask, Both, Once, Run],
        Row::Denied => [Deny, Deny, Deny, Deny, Run],
        Row::Floor => [Deny, Deny, Deny, Deny, Deny],
    };
    match mode {
        Mode::Default => default,
        Mode::AllowEdits => allow_edits,
        Mode::Auto => auto,
        Mode::Bypass => bypass,
        Mode::Yolo => yolo,
    }
}

/// Checks whose deny no mode overrules: secrets, ways out of the tree, grafter's own files.
const FLOOR: [&str; 6] = ["K10", "K11", "K31", "K32", "K34", "K38"];

/// Returns the row of a call; `risk` is the tool's own.
///
/// What cannot be taken back inside the agent's repository is no matter for the user: it is a
/// private git dir, and the tree is in snapshots.
pub fn row(class: Class, risk: Risk, judgement: Option<&Judgement>) -> Row {
    let Some(judgement) = judgement else {
        return match class {
            _ if risk == Risk::High => Row::Remote,
            Class::Write => Row::Write,
            Class::Read | Class::Exec | Class::Control => Row::Free,
        };
    };
    let denied = judgement.hits.iter().filter(|hit| hit.verdict == Verdict::Deny);
    let floor = denied.map(|hit| hit.id).any(|id| FLOOR.contains(&id));
    match judgement.verdict {
        // What was not read to its end may hold what the floor stops.
        Verdict::Deny if floor || !judgement.understood => Row::Floor,
        Verdict::Deny => Row::Denied,
        _ if !judgement.understood => Row::Unread,
        _ if risk == Risk::High => Row::Remote,
        _ if judgement.risk == Risk::High && judgement.blast >= Blast::Host => Row::Remote,
        Verdict::Pass if judgement.direct.is_some() => Row::Direct,
        Verdict::Pass | Verdict::Ask => Row::Shell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [Row; 8] = [
        Row::Free,
        Row::Write,
        Row::Direct,
        Row::Shell,
        Row::Unread,
        Row::Remote,
        Row::Denied,
        Row::Floor,
    ];

    #[test]
    fn a_child_is_never_freer_than_its_parent() {
        for parent in Mode::ALL {
            assert_eq!(inherited(parent, None), parent);
            for own in Mode::ALL {
                let mode = inherited(parent, Some(own));
                assert!(mode <= parent && mode <= own && (mode == parent || mode == own));
            }
        }
    }

    #[test]
    fn the_table_is_this_one() {
        let table: Vec<String> = ROWS
            .iter()
            .map(|row| {
                let cells = Mode::ALL.map(|mode| format!("{:?}", cell(*row, mode)));
                format!("{row:?}: {}", cells.join(" "))
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        Free: Run Run Run Run Run
        Write: Ask Run Run Run Run
        Direct: Rule Files Ordinary Run Run
        Shell: Rule Rule Ordinary Run Run
        Unread: Ask Ask Ask Ask Ask
        Remote: Ask Ask Both Once Run
        Denied: Deny Deny Deny Deny Run
        Floor: Deny Deny Deny Deny Deny
        ");
    }
}
