//! May this call run?
//!
//! One pure decision for every tool call, on facts that the tools gather. A call that may run
//! comes back as `Cleared`, whose field only this file can fill, so a tool cannot be reached
//! around the guard. Raising a risk never makes a decision milder.

use crate::protocol::{
    message::ToolCall,
    request::Approval,
    task::{Mode, Phase},
    tool::{Class, Risk, ToolSpec},
};

/// The code of a call that needs an approval which nobody is there to give.
pub const NO_APPROVAL: &str = "E_NO_APPROVAL";

/// A value that the guard has let pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Cleared<T> {
    value: T,
}

impl<T> Cleared<T> {
    /// Returns what was cleared.
    pub fn get(&self) -> &T {
        &self.value
    }
}

/// What the decision needs of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much may be done without asking.
    pub mode: Mode,
    /// The phase of the agent.
    pub phase: Phase,
    /// Whether somebody is there to ask.
    pub interactive: bool,
}

/// What the decision needs of the call's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The first path that leads out of the tree, as the model wrote it.
    pub outside: Option<String>,
    /// The first path that no tool may write to.
    pub protected: Option<String>,
}

/// The decision over a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It may run.
    Run(Cleared<ToolCall>),
    /// The user must say yes first.
    Ask {
        /// The call; it becomes a cleared one by the user's approval.
        call: Pending,
        /// Why it is asked.
        why: String,
    },
    /// It may not run.
    Deny {
        /// A stable code that agents and tests can act on.
        code: &'static str,
        /// The reason, with what can be done instead.
        why: String,
    },
}

/// A call that waits for the user's word.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    call: ToolCall,
}

impl Pending {
    /// Returns the call.
    pub fn get(&self) -> &ToolCall {
        &self.call
    }

    /// Returns the cleared call if the user approved exactly it, else the reason for the agent.
    pub fn clear(self, approval: Approval) -> Result<Cleared<ToolCall>, String> {
        match approval {
            Approval::Yes => Ok(Cleared { value: self.call }),
            Approval::No => Err("E_NOT_APPROVED: the user said no; go on without it".to_owned()),
            Approval::NoTerminal => Err(format!("{NO_APPROVAL}: {}", no_approval(&self.call.name))),
        }
    }
}

/// Decides over a call whose arguments are valid.
pub fn decide(call: &ToolCall, spec: &ToolSpec, facts: &Facts, policy: &Policy) -> Decision {
    if let Some((code, why)) = forbidden(call, spec, facts, policy) {
        return Decision::Deny { code, why };
    }
    if spec.risk < Risk::High || policy.mode == Mode::Bypass {
        return Decision::Run(Cleared { value: call.clone() });
    }
    if policy.interactive {
        let why = format!("`{}` does what no snapshot can undo", spec.name);
        return Decision::Ask { call: Pending { call: call.clone() }, why };
    }
    Decision::Deny { code: NO_APPROVAL, why: no_approval(&spec.name) }
}

/// Returns why a call is never allowed here, whatever the mode.
fn forbidden(
    call: &ToolCall,
    spec: &ToolSpec,
    facts: &Facts,
    policy: &Policy,
) -> Option<(&'static str, String)> {
    let phase = policy.phase;
    if call.name != spec.name {
        return Some(("E_UNKNOWN_TOOL", format!("`{}` is not `{}`", call.name, spec.name)));
    }
    // The tools that write may be listed for more phases by mistake; the class decides as well.
    let writes_too_early = spec.class == Class::Write && phase != Phase::Implementation;
    if writes_too_early || !spec.phases.contains(&phase) {
        let why = format!("`{}` is not available in the {} phase", spec.name, phase.name());
        return Some(("E_PHASE", why));
    }
    if let Some(path) = &facts.outside {
        let why = format!("`{path}` is outside the repository; give a path relative to its root");
        return Some(("E_OUTSIDE", why));
    }
    match &facts.protected {
        Some(path) if spec.class != Class::Read => {
            let why = format!("`{path}` belongs to git or grafter and is never written by tools");
            Some(("E_PROTECTED", why))
        }
        _ => None,
    }
}

fn no_approval(tool: &str) -> String {
    format!(
        "`{tool}` needs the user's approval and nobody is there to give it; use run_tests to run \
         the checks and the file tools for everything else, or say in your summary that the user \
         has to rerun with --mode bypass"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::protocol::ids::CallId;

    const PHASES: [Phase; 4] =
        [Phase::Research, Phase::Synthesis, Phase::Implementation, Phase::Verification];

    fn spec(class: Class, risk: Risk, phases: Vec<Phase>) -> ToolSpec {
        ToolSpec {
            name: "tool".to_owned(),
            description: String::new(),
            class,
            risk,
            phases,
            parameters: json!({}),
            timeout_ms: 1,
            max_output: 1,
        }
    }

    fn call(name: &str) -> ToolCall {
        ToolCall { id: CallId::new("1"), name: name.to_owned(), input: json!({}) }
    }

    fn rank(decision: &Decision) -> u8 {
        match decision {
            Decision::Run(_) => 0,
            Decision::Ask { .. } => 1,
            Decision::Deny { .. } => 2,
        }
    }

    fn word(decision: &Decision) -> &'static str {
        match decision {
            Decision::Run(_) => "run",
            Decision::Ask { .. } => "ask",
            Decision::Deny { code, .. } => code,
        }
    }

    #[test]
    fn modes_and_terminals_decide_over_high_risk() {
        let spec = spec(Class::Exec, Risk::High, PHASES.to_vec());
        let phase = Phase::Implementation;
        for (mode, interactive, expected) in [
            (Mode::Default, true, "ask"),
            (Mode::Default, false, "E_NO_APPROVAL"),
            (Mode::Bypass, true, "run"),
            (Mode::Bypass, false, "run"),
        ] {
            let policy = Policy { mode, phase, interactive };
            let decision = decide(&call("tool"), &spec, &Facts::default(), &policy);
            assert_eq!(word(&decision), expected, "{mode:?} {interactive}");
        }
    }

    #[test]
    fn writing_outside_its_phase_is_denied_even_if_listed_and_bypassed() {
        let spec = spec(Class::Write, Risk::Medium, PHASES.to_vec());
        for phase in PHASES {
            let policy = Policy { mode: Mode::Bypass, phase, interactive: true };
            let decision = decide(&call("tool"), &spec, &Facts::default(), &policy);
            let expected = if phase == Phase::Implementation { "run" } else { "E_PHASE" };
            assert_eq!(word(&decision), expected, "{phase:?}");
        }
    }

    #[test]
    fn paths_are_decided_before_the_mode() {
        let spec = spec(Class::Write, Risk::Medium, PHASES.to_vec());
        let policy = Policy { mode: Mode::Bypass, phase: Phase::Implementation, interactive: true };
        let outside = Facts { outside: Some("../x".to_owned()), ..Facts::default() };
        assert_eq!(word(&decide(&call("tool"), &spec, &outside, &policy)), "E_OUTSIDE");
        let protected = Facts { protected: Some(".git/config".to_owned()), ..Facts::default() };
        assert_eq!(word(&decide(&call("tool"), &spec, &protected, &policy)), "E_PROTECTED");
        assert_eq!(word(&decide(&call("t"), &spec, &protected, &policy)), "E_UNKNOWN_TOOL");
    }

    #[test]
    fn only_a_yes_clears_a_pending_call() {
        let pending = Pending { call: call("bash") };
        assert!(pending.clone().clear(Approval::Yes).is_ok());
        assert!(pending.clone().clear(Approval::No).is_err());
        let why = pending.clear(Approval::NoTerminal).expect_err("nobody said yes");
        assert!(why.contains("run_tests") && why.contains("--mode bypass"));
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let mode = prop_oneof![Just(Mode::Default), Just(Mode::Bypass)];
        let phase = proptest::sample::select(PHASES.to_vec());
        (mode, phase, any::<bool>()).prop_map(|(mode, phase, interactive)| Policy {
            mode,
            phase,
            interactive,
        })
    }

    fn any_class() -> impl Strategy<Value = Class> {
        let all = vec![Class::Read, Class::Write, Class::Exec, Class::Control];
        proptest::sample::select(all)
    }

    proptest! {
        #[test]
        fn raising_the_risk_never_makes_it_milder(
            policy in any_policy(),
            class in any_class(),
            phases in proptest::sample::subsequence(PHASES.to_vec(), 0..=4),
            outside in proptest::option::of("[a-z]{1,3}"),
            protected in proptest::option::of("[a-z]{1,3}"),
        ) {
            let facts = Facts { outside, protected };
            let ranks = [Risk::Low, Risk::Medium, Risk::High].map(|risk| {
                let spec = spec(class, risk, phases.clone());
                rank(&decide(&call("tool"), &spec, &facts, &policy))
            });
            prop_assert!(ranks[0] <= ranks[1] && ranks[1] <= ranks[2]);
            if !phases.contains(&policy.phase) {
                prop_assert_eq!(ranks[0], 2);
            }
        }
    }
}
