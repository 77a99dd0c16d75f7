//! A child process that serves until its handle is dropped.

use std::{
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

/// A server that printed the address it listens on; killed when dropped, or when this process ends in any way (Linux).
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

/// Why a server did not come to listen.
#[derive(Debug)]
pub enum StartError {
    /// It could not be run at all.
    Spawn(io::Error),
    /// It ended; what it wrote to its standard error.
    Exited(String),
    /// It was still silent at the deadline, and was killed; what it wrote to its standard error.
    Timeout(String),
}

impl Server {
    /// Runs `command` and waits for the line `Listening on <address>` on its standard output.
    pub fn start(mut command: Command, timeout: Duration) -> Result<Self, StartError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_this_thread(&mut command);

        // The thread that spawns the child also reads its output, so that it outlives the child.
        let (spawned, child) = mpsc::sync_channel(1);
        let (listening, address) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let (started, stdout) = match command.spawn() {
                Ok(mut child) => {
                    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
                    (Ok((child, Stderr::collect(stderr))), stdout)
                }
                Err(error) => (Err(error), None),
            };
            let _ = spawned.send(started);
            drain(stdout, listening);
        });

        let gone = || StartError::Spawn(io::Error::other("the thread that starts it ended"));
        let (child, stderr) = child.recv().map_err(|_| gone())?.map_err(StartError::Spawn)?;
        // Owned from here on, so that every way out kills it.
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        match address.recv_timeout(timeout) {
            Ok(address) => {
                server.address = address;
                Ok(server)
            }
            Err(RecvTimeoutError::Disconnected) => {
                drop(server);
                Err(StartError::Exited(stderr.text()))
            }
            Err(RecvTimeoutError::Timeout) => {
                drop(server);
                Err(StartError::Timeout(stderr.text()))
            }
        }
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end, reporting the address once; a pipe left unread would block the server, a closed one would end it.
fn drain(stdout: Option<impl Read>, listening: SyncSender<SocketAddr>) {
    let Some(stdout) = stdout else { return };
    let mut lines = BufReader::new(stdout);
    let mut listening = Some(listening);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let address =
            String::from_utf8_lossy(&line).strip_prefix("Listening on ").and_then(|rest| rest.trim().parse().ok());
        if let (Some(address), Some(sender)) = (address, listening.take_if(|_| address.is_some())) {
            let _ = sender.send(address);
        }
        line.clear();
    }
}

/// What a server has written to its standard error, read by a thread.
struct Stderr {
    text: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Stderr {
    /// The most that is kept.
    const CAPACITY: usize = 16 * 1024;

    fn collect(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = mpsc::sync_channel(1);
        let kept = Arc::clone(&text);
        thread::spawn(move || {
            let mut chunk = [0; 1024];
            let mut pipe = pipe;
            while let Some(read) = pipe.as_mut().and_then(|pipe| pipe.read(&mut chunk).ok()).filter(|&read| read > 0) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = Self::CAPACITY.saturating_sub(kept.len());
                kept.extend(chunk.iter().take(read.min(room)));
            }
            let _ = end.send(());
        });
        Self { text, ended }
    }

    /// What has come so far from a server that has ended. A process that it left behind may hold the pipe open, so the
    /// wait for the rest is short.
    fn text(self) -> String {
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).trim().to_owned()
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the standard library has no parent-death signal")]
fn die_with_this_thread(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: prctl is async-signal-safe and touches no memory of this process.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_this_thread(_: &mut Command) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn reports_the_address_and_reads_on() {
        // More than a pipe holds: the server would block if nobody read.
        let script =
            "echo banner; echo Listening on 127.0.0.1:4321; head -c 300000 /dev/zero; touch \"$0\"; exec sleep 60";
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("went-on");
        let mut command = shell(script);
        command.arg(&mark);
        let server = Server::start(command, Duration::from_secs(10)).unwrap();
        assert_eq!(server.address.port(), 4321);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !mark.exists() {
            assert!(Instant::now() < deadline, "the server is blocked on its output");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn an_early_end_gives_the_servers_own_words_at_once() {
        let start = Instant::now();
        let error = Server::start(shell("echo no such option >&2; exit 2"), Duration::from_secs(60)).unwrap_err();
        assert!(matches!(error, StartError::Exited(text) if text == "no such option"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_silent_server_is_killed_at_the_deadline() {
        let error = Server::start(shell("echo starting >&2; exec sleep 60"), Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, StartError::Timeout(text) if text == "starting"));
    }

    #[test]
    fn a_process_left_behind_does_not_hold_the_error_up() {
        let start = Instant::now();
        let error =
            Server::start(shell("echo broken >&2; sleep 20 >/dev/null & exit 1"), Duration::from_secs(60)).unwrap_err();
        assert!(matches!(error, StartError::Exited(text) if text == "broken"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_missing_program_is_a_spawn_error() {
        let error = Server::start(Command::new("/nonexistent/server"), Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, StartError::Spawn(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
