//! `grafter logs RUN --session`: the answers of a run, as a session that `scripted:` plays.

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
        out,
    },
    coordinator::{options::Options, state::RunState},
    journal::blobs::Blobs,
    protocol::{
        event::{Event, Kept, What},
        ids::{AgentId, NodeId, RunId},
        message::Reply,
    },
    provider::record::{self, Spot, Title},
};

/// Prints the session.
pub(super) fn print(context: &Context, run: &RunId, events: &[Event]) -> Result<(), Failure> {
    let blobs = Blobs::of(&context.repo.state_dir());
    let fetch = |kept: &Kept| blobs.fetch(kept).or_fail(Kind::Infrastructure);
    let state = RunState::fold(events);
    whole(&state, events)?;
    let Some(started) = &state.started else {
        return Err(Failure::usage(format!("run {run} was never started")));
    };
    let options = fetch(&started.options)?;
    let options: Options = serde_json::from_str(&options).or_fail(Kind::Infrastructure)?;
    let mut replies = Vec::new();
    for event in events {
        if let (What::ModelResult { turn, reply, .. }, Some(node), Some(agent)) =
            (&event.what, &event.node, &event.agent)
            && !agent.is_classifier()
        {
            let reply: Reply =
                serde_json::from_str(&fetch(reply)?).or_fail(Kind::Infrastructure)?;
            replies.push((spot(node, agent, *turn), reply));
        }
    }
    let about = format!(
        "the answers of {} in run {run} of the workflow {} on {}\n\
         to play them: grafter run … --workflow {} --model scripted:FILE",
        started.model, started.workflow, started.task.slug, started.workflow
    );
    let edit_format = options.edit_format.unwrap_or(options.model_format);
    let text = record::session(&Title { about, edit_format }, &replies);
    out::write(format_args!("{text}"))
}

/// Refuses a run whose answers were given in another one.
fn whole(state: &RunState, events: &[Event]) -> Result<(), Failure> {
    for event in events {
        let (What::NodeFinished { reused: true, .. }, Some(id)) = (&event.what, &event.node) else {
            continue;
        };
        if state.nodes.get(id).is_some_and(|node| node.role != "checks") {
            let text = format!("`{id}` took its result from an earlier run and asked nobody");
            return Err(Failure::usage(text).hint("a run made with --fresh has all its answers"));
        }
    }
    Ok(())
}

fn spot(node: &NodeId, agent: &AgentId, turn: u32) -> Spot {
    let attempt = agent.as_str().rsplit_once('@').and_then(|(_, attempt)| attempt.parse().ok());
    let (node, index) = node.place();
    Spot { node: node.to_owned(), index, attempt: attempt.unwrap_or(1), turn }
}
