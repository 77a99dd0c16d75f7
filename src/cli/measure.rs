//! CPU time and peak memory of a whole process, as the operating system accounts them.

use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    time::Instant,
};

use serde::Serialize;
use serde_json::Value;

/// What a finished process used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub wall_seconds: f64,
    /// User and system time over all threads.
    pub cpu_seconds: f64,
    pub peak_rss_bytes: u64,
}

/// Run a command of this program that prints a JSON document, and measure it. An error is the one that it
/// says.
///
/// What the system reports of a child's memory is at least what its parent had when it started it, so the peak is the one that the
/// child says of itself where it does, as `process.peak_rss_bytes`.
pub fn run(command: &mut Command) -> io::Result<Usage> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let read = |pipe: Option<&mut dyn Read>| {
        let mut bytes = Vec::new();
        pipe.map_or(Ok(0), |pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
    };
    // what it says on standard error fits a pipe
    let said = read(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read))?;
    let stderr = read(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read))?;
    let (status, usage) = wait(&child)?;
    let wall_seconds = start.elapsed().as_secs_f64();
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    if status != 0 {
        let error = said.get("error").and_then(Value::as_str).map(String::from);
        let error = error.unwrap_or_else(|| String::from_utf8_lossy(&stderr).trim().to_string());
        let status = ExitStatus::from_raw(status);
        return Err(io::Error::other(if error.is_empty() { format!("proving ended with {status}") } else { error }));
    }
    let mut usage = Usage::new(wall_seconds, &usage);
    if let Some(peak) = said.pointer("/process/peak_rss_bytes").and_then(Value::as_u64) {
        usage.peak_rss_bytes = peak;
    }
    Ok(usage)
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
        0 => {
            let mut usage = Usage::new(start.elapsed().as_secs_f64(), &usage);
            usage.peak_rss_bytes = high_water().unwrap_or(usage.peak_rss_bytes);
            Some(usage)
        }
        _ => None,
    }
}

/// The greatest memory that this program has had, where the system says it apart from what was there before the program: on Linux.
fn high_water() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
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
