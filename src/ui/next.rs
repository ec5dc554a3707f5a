//! What the user can type after a run, each command with its purpose.

use crate::{
    protocol::report::RunEnd,
    ui::{
        text::{escape, shell_word},
        view::{NodeState, View},
    },
};

/// Returns the commands that make sense now, the likeliest first.
pub fn commands(view: &View) -> Vec<(&'static str, String)> {
    let Some(run) = view.run.as_ref().map(|run| escape(run.as_str())) else { return Vec::new() };
    if view.live {
        let watch = format!("grafter logs {run} --follow");
        return vec![("watch", watch), ("stop", format!("grafter cancel {run}"))];
    }
    let base = view.start.as_ref().map_or("", |start| start.base.short());
    let mut next = Vec::new();
    if let Some(landing) = &view.landing {
        // Any other branch was named by the user, who has the work there already.
        if landing.branch.starts_with("grafter/") && !view.taken_back {
            next.push(("merge", format!("git merge {}", shell_word(&landing.branch))));
        }
        let from = landing.from.as_ref().map_or(base, |from| from.short());
        next.push(("look", format!("git diff {from}..{}", landing.to.short())));
        if !view.taken_back {
            next.push(("undo", format!("grafter undo {run}")));
        }
        return next;
    }
    if is_open(view) {
        next.push(("go on", format!("grafter resume {run}")));
    }
    if let Some(work) = &view.work {
        next.push(("look", format!("git diff {base}..{}", work.commit.short())));
        next.push(("take it", format!("git merge {}", shell_word(&work.branch))));
    } else if view.has_snapshot {
        next.push(("rescue", format!("grafter rescue {run}")));
    }
    // Where one agent is to blame, what it said and did tells more than what the run did.
    let failed =
        view.nodes.iter().find(|node| node.state == NodeState::Failed && node.role != "checks");
    let whose = failed.and_then(|node| node.id.as_ref());
    let whose = whose.map(|node| format!(" --agent {}", escape(node.as_str())));
    next.push(("log", format!("grafter logs {run}{}", whose.unwrap_or_default())));
    next
}

/// Returns whether a run can still come to something when it is taken up again.
fn is_open(view: &View) -> bool {
    match &view.end {
        None | Some(RunEnd::Interrupted | RunEnd::Budget(_) | RunEnd::Infrastructure(_)) => true,
        // What stands in the way of a finished commit can be put right; a rule cannot.
        Some(RunEnd::Refused(_)) => view.work.is_some(),
        Some(
            RunEnd::Landed { .. } | RunEnd::Reported | RunEnd::NotResolved(_) | RunEnd::Conflict(_),
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{event::What, ids::Oid, report::DiffStat, task::Phase},
        ui::fixture::{Tale, oid},
    };

    fn words(view: &View) -> Vec<&'static str> {
        commands(view).into_iter().map(|(what, _)| what).collect()
    }

    #[test]
    fn a_live_run_is_watched_and_a_killed_one_goes_on() {
        let mut tale = Tale::new("local/qwen");
        tale.node("implement", Phase::Implementation, 1);
        let mut view = View::of(&tale.events);
        assert_eq!(words(&view), ["go on", "log"]);
        view.live = true;
        assert_eq!(words(&view), ["watch", "stop"]);
        assert_eq!(words(&View::default()), [""; 0]);
    }

    #[test]
    fn work_that_was_never_committed_is_rescued_and_a_refused_run_does_not_go_on() {
        let mut tale = Tale::new("local/qwen");
        tale.node("implement", Phase::Implementation, 1).tool("implement", "edit a.rs");
        tale.end(RunEnd::Refused("bash needs an approval".to_owned()));
        assert_eq!(words(&View::of(&tale.events)), ["rescue", "log"]);
    }

    #[test]
    fn what_landed_on_the_users_branch_need_not_be_merged() {
        let mut tale = Tale::new("local/qwen");
        let land = |branch: &str, from: Option<Oid>| What::Landed {
            branch: branch.to_owned(),
            from,
            to: oid('c'),
            stat: DiffStat::default(),
        };
        tale.add("", 1, land("main", Some(oid('e'))));
        let mut view = View::of(&tale.events);
        assert_eq!(words(&view), ["look", "undo"]);
        assert_eq!(commands(&view)[0].1, "git diff eeeeeeeeee..cccccccccc");
        view.taken_back = true;
        assert_eq!(words(&view), ["look"]);
    }
}
