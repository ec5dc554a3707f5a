//! The namespaces of a sandbox and the capabilities that go with them.
//!
//! The user inside is the user outside, so that files have the same owner on both sides. Whatever
//! capabilities the process has count for its namespaces only, and it keeps none once the mounts
//! are made; commands can gain none.

use std::fs;

use rustix::{
    process::{getegid, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, UnshareFlags, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

/// Makes user, mount, pid, network and IPC namespaces for this process's children.
pub(super) fn enter() -> Result<(), String> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let all = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC;
    unshare(all).map_err(|error| format!("cannot make namespaces: {error}"))?;
    // The order is the kernel's: no group map before setgroups is denied.
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    Ok(())
}

#[expect(
    deprecated,
    reason = "deprecated for UnshareFlags::FILES alone, which would upset other threads' files"
)]
pub(super) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

/// Gives up every capability for good, for this process and all that come from it.
pub(super) fn give_up_power() -> Result<(), String> {
    let drop = || -> rustix::io::Result<()> {
        clear_ambient_capability_set()?;
        // Beyond the last capability that this kernel knows, the answer is an error.
        for bit in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            if remove_capability_from_bounding_set(one).is_err() {
                break;
            }
        }
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        set_capabilities(None, sets)?;
        set_no_new_privs(true)
    };
    drop().map_err(|error| format!("cannot give up capabilities: {error}"))
}
