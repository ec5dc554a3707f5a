//! The system call filter: what no command needs and attacks on the kernel begin with.
//!
//! A list of what is refused, not of what is allowed, because commands are compilers, interpreters
//! and test suites that nobody can foresee. The filter is made and set once, in the process that
//! serves, and all commands inherit it. Programs for other instruction sets of the same machine
//! (32 bit, x32) would use other numbers; the first are ended, the second told that there are none.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Which sockets can be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sockets {
    /// What stays inside an empty network namespace: Unix, IPv4 and IPv6, and reading the routes,
    /// without which `os.networkInterfaces()` of Node.js and `net.Interfaces()` of Go fail.
    Local,
    /// None: without a namespace every one leads out, those of Unix to other programs' services.
    None,
}

/// Calls that are refused whatever their arguments.
const REFUSED: [i64; 43] = [
    // Other processes' memory and files.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_open_by_handle_at,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Programs in the kernel, its own and others' modules, another kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    // Keys, and calls of which most exploits of the kernel were made.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The machine's clock, log and accounts.
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_vhangup,
];

/// Ports of the machine and segments of other programs, which only this family has.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: [i64; 3] = [libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: [i64; 0] = [];

/// New namespaces, by the flags that ask for them.
const NEW: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Made<T> = Result<T, seccompiler::BackendError>;

/// Sets the filter for this process and all that come from it; returns how many calls it refuses.
pub(super) fn set(sockets: Sockets) -> Result<usize, String> {
    let failed = |error: &dyn std::fmt::Display| format!("no system call filter: {error}");
    let refused = refused(sockets).map_err(|error| failed(&error))?;
    let count = refused.len();
    let programs = [
        program(refused, libc::EPERM),
        // The C libraries take this for an old kernel and call `clone`, whose flags can be read.
        program(Rules::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS),
    ];
    for program in programs {
        let program = program.map_err(|error| failed(&error))?;
        apply_filter(&program).map_err(|error| failed(&error))?;
    }
    #[cfg(target_arch = "x86_64")]
    apply_filter(&without_x32()).map_err(|error| failed(&error))?;
    Ok(count + 1)
}

fn program(rules: Rules, errno: i32) -> Made<BpfProgram> {
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}

fn refused(sockets: Sockets) -> Made<Rules> {
    let mut rules: Rules =
        REFUSED.into_iter().chain(REFUSED_HERE).map(|call| (call, Vec::new())).collect();
    let namespaces = NEW.iter().map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        SeccompRule::new(vec![condition(0, SeccompCmpOp::MaskedEq(flag), flag)?])
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Made<_>>()?);
    let families = match sockets {
        Sockets::None => Vec::new(),
        Sockets::Local => local_families()?,
    };
    rules.insert(libc::SYS_socket, families);
    Ok(rules)
}

/// Returns when `socket` is refused: for every family but four, and for netlink beyond routes.
fn local_families() -> Made<Vec<SeccompRule>> {
    let family =
        |family: i32, is: SeccompCmpOp| condition(0, is, u64::from(family.cast_unsigned()));
    let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let others: Made<Vec<_>> = known.into_iter().map(|one| family(one, SeccompCmpOp::Ne)).collect();
    let routes = u64::from(libc::NETLINK_ROUTE.cast_unsigned());
    let netlink =
        vec![family(libc::AF_NETLINK, SeccompCmpOp::Eq)?, condition(2, SeccompCmpOp::Ne, routes)?];
    Ok(vec![SeccompRule::new(others?)?, SeccompRule::new(netlink)?])
}

fn condition(argument: u8, is: SeccompCmpOp, value: u64) -> Made<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)
}

/// Refuses the calls of the x32 variant, which has the same architecture and numbers of its own.
#[cfg(target_arch = "x86_64")]
fn without_x32() -> BpfProgram {
    use seccompiler::sock_filter;

    const FIRST: u32 = 0x4000_0000;
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let at_least = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let refuse = u32::from(SeccompAction::Errno(libc::ENOSYS.cast_unsigned()));
    let step = |code: u32, jf: u8, k: u32| sock_filter { code: code as u16, jt: 0, jf, k };
    vec![
        // The number of the call is the first thing the kernel shows.
        step(load, 0, 0),
        step(at_least, 1, FIRST),
        step(answer, 0, refuse),
        step(answer, 0, SeccompAction::Allow.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_compile_and_the_calls_of_ordinary_work_are_on_none() {
        for sockets in [Sockets::Local, Sockets::None] {
            let rules = refused(sockets).unwrap();
            for ordinary in [libc::SYS_execve, libc::SYS_socketpair, libc::SYS_openat] {
                assert!(!rules.contains_key(&ordinary));
            }
            // An empty list refuses always, so these two must never be empty by mistake.
            assert!(!rules[&libc::SYS_clone].is_empty());
            assert_eq!(rules[&libc::SYS_socket].is_empty(), sockets == Sockets::None);
            assert!(program(rules, libc::EPERM).unwrap().len() > 100);
        }
    }

    #[test]
    fn no_call_is_named_twice() {
        let all: std::collections::BTreeSet<_> = REFUSED.into_iter().chain(REFUSED_HERE).collect();
        assert_eq!(all.len(), REFUSED.len() + REFUSED_HERE.len());
    }
}
