//! CPU time and peak memory of a whole process, as the operating system accounts them.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    time::Instant,
};

use serde::Serialize;

/// What a finished process used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub wall_seconds: f64,
    /// User and system time over all threads.
    pub cpu_seconds: f64,
    pub peak_rss_bytes: u64,
}

/// Run a command to its end with its standard output thrown away, and measure it. An error carries its standard error.
pub fn run(command: &mut Command) -> io::Result<Usage> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut stderr = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut pipe, &mut bytes)?;
        stderr = String::from_utf8_lossy(&bytes).into_owned();
    }
    let (status, usage) = wait(&child)?;
    let wall_seconds = start.elapsed().as_secs_f64();
    if status != 0 {
        let said = stderr.trim();
        let said = said.strip_prefix("error: ").unwrap_or(said);
        let status = ExitStatus::from_raw(status);
        return Err(io::Error::other(if said.is_empty() {
            format!("proving ended with {status}")
        } else {
            said.into()
        }));
    }
    Ok(Usage::new(wall_seconds, &usage))
}

impl Usage {
    fn new(wall_seconds: f64, usage: &libc::rusage) -> Self {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        // kilobytes, but bytes on Apple's systems
        let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
        Self {
            wall_seconds,
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit,
        }
    }
}

/// What this process has used up to now; `start` is when it began. `None` where the system does not say.
#[allow(unsafe_code, reason = "the standard library reports no resource usage")]
pub fn own(start: Instant) -> Option<Usage> {
    // SAFETY: an all-zero rusage is a valid value of that plain struct
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local
    match unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) } {
        0 => Some(Usage::new(start.elapsed().as_secs_f64(), &usage)),
        _ => None,
    }
}

/// Reap a child with its resource usage, which the standard library's `wait` does not give.
#[allow(unsafe_code, reason = "the standard library reports no resource usage")]
fn wait(child: &std::process::Child) -> io::Result<(i32, libc::rusage)> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value of that plain struct
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live locals; the child is ours and is reaped only here
        let reaped = unsafe { libc::wait4(pid, &mut status, 0, &mut usage) };
        if reaped == pid {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
