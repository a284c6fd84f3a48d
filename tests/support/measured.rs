//! A child process, and how much memory it took.
#![allow(unsafe_code, unreachable_pub, clippy::unwrap_used)] // wait4, which no crate of ours wraps

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a run ended.
pub struct Measured {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The most memory it had at a time, in bytes (resident, the program's own pages included).
    pub peak: u64,
    /// What it said.
    pub stderr: String,
}

/// What goes wrong must not fill the disk or the memory.
fn bound(command: &mut Command) {
    let limit = |resource, most: u64| {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: the pointer is to a variable of this frame
        match unsafe { libc::setrlimit(resource, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec nothing but two system calls is made
    unsafe {
        command.pre_exec(move || {
            limit(libc::RLIMIT_FSIZE, 1 << 30)?;
            limit(libc::RLIMIT_AS, 8 << 30)
        });
    }
}

/// Runs a command that must not take longer than `hangs`; its standard output is thrown away.
///
/// # Panics
///
/// Where it takes longer; it is ended first.
pub fn measure(command: &mut Command, hangs: Duration) -> Measured {
    bound(command);
    #[expect(
        clippy::zombie_processes,
        reason = "wait4 below waits, and tells how much memory it took"
    )]
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.by_ref().take(1 << 20).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let pid = i32::try_from(child.id()).unwrap();
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: plain numbers, for which all zeros is a value
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the child is this process's own and was not waited for; both pointers are to variables of this frame
        let waited = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
        assert!(waited >= 0, "wait4: {}", std::io::Error::last_os_error());
        if waited == pid {
            let kilobytes = u64::try_from(usage.ru_maxrss).unwrap();
            return Measured {
                code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
                peak: kilobytes << 10,
                stderr: reader.join().unwrap(),
            };
        }
        if start.elapsed() > hangs {
            child.kill().unwrap();
            panic!("{command:?} takes longer than {hangs:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
