//! Landlock: a second hold on writing beneath the mounts, and the fallback where there are none.
//!
//! Alone it is weaker in what it cannot express, and said so in its notes: the tree stays at its own path, the
//! owner may still change modes and times of files outside, and other processes are in sight.

use std::ffi::OsString;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

use crate::sandbox::wire::{Access, Fill, View};

/// The newest set of rights that is asked for.
const NEWEST: ABI = ABI::V6;
/// Before this one, files can be emptied in spite of the rules.
pub(super) const LEAST: u32 = 3;
/// The only devices there are: root could read disks and memory through the others.
const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Restricts this process and all that come from it; returns what the rules cannot hold.
pub(super) fn restrict(access: &Access) -> Result<Vec<String>, String> {
    enforce(access).map_err(|error| format!("landlock: {error}")).and_then(|status| match status {
        RulesetStatus::NotEnforced => Err("landlock is not enforced by this kernel".to_owned()),
        _ => Ok(weaknesses()),
    })
}

/// Holds writing to what a view leaves writable, whatever may be wrong with its mounts; returns
/// the version that does it, if there is one.
///
/// Nothing in `/proc` is left: root's files in there are the machine's, and of their own programs
/// write no more than names of threads, which nobody misses.
pub(super) fn beneath(view: &View) -> Option<u32> {
    let version = version().filter(|version| *version >= LEAST)?;
    let own = view.layers.iter().filter(|layer| matches!(layer.fill, Fill::Own(_) | Fill::Scratch));
    let write = own.map(|layer| layer.at.clone()).chain(["/dev".into()]);
    hold(&write.collect::<Vec<_>>()).ok().filter(|status| *status != RulesetStatus::NotEnforced)?;
    Some(version)
}

fn hold(write: &[OsString]) -> Result<RulesetStatus, landlock::RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(write, all))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Returns the newest version of Landlock that this kernel has, up to 6.
pub(super) fn version() -> Option<u32> {
    let versions = [(6, ABI::V6), (5, ABI::V5), (4, ABI::V4), (3, ABI::V3), (2, ABI::V2)];
    versions.into_iter().find(|(number, abi)| has(*number, *abi)).map(|(number, _)| number)
}

fn has(number: u32, abi: ABI) -> bool {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let asked = strict().handle_access(AccessFs::from_all(abi));
    let asked = if number >= 4 {
        asked.and_then(|set| set.handle_access(AccessNet::from_all(abi)))
    } else {
        asked
    };
    let asked =
        if number >= 6 { asked.and_then(|set| set.scope(Scope::from_all(abi))) } else { asked };
    asked.and_then(Ruleset::create).is_ok()
}

fn enforce(access: &Access) -> Result<RulesetStatus, landlock::RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    let nodes = AccessFs::from_file(NEWEST);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(&access.read, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(&access.write, all))?
        .add_rules(path_beneath_rules(DEVICES.map(OsString::from), nodes))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Returns what rules alone do not hold.
pub(super) fn weaknesses() -> Vec<String> {
    vec![
        "the tree is at its own path, not at the checkout's".to_owned(),
        "modes and times of files outside can be changed by their owner".to_owned(),
        "processes outside are visible".to_owned(),
        "there is no shared memory and no pseudo terminal".to_owned(),
        "no network at all: neither loopback nor `hosts` of [sandbox]".to_owned(),
    ]
}
