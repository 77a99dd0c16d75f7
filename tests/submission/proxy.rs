//! A JSON-RPC endpoint in front of another one, which fails as it is told.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before anybody has read the request.
    Drop,
    /// A status of a gateway's, without the request having gone through.
    Status(u16),
    /// It goes through late.
    Delay(Duration),
    /// It goes through, and the answer is lost.
    LoseAnswer,
    /// It goes through twice; the second answer comes back.
    Twice,
    /// It goes through, and the answer is cut short.
    Garble,
    /// It goes through, and an error with this message is answered.
    Refuse(&'static str),
    /// It goes through, and `null` is answered.
    Null,
    /// Another endpoint answers.
    Elsewhere(SocketAddr),
}

type Rule = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

/// The endpoint that fails. It ends with this value.
pub struct Proxy {
    address: SocketAddr,
    rule: Arc<Mutex<Rule>>,
    requests: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of `upstream`; `rule` says for every request, by its method, what goes wrong.
    pub fn start(upstream: SocketAddr, rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            rule: Arc::new(Mutex::new(Box::new(rule))),
            requests: Arc::default(),
            ended: Arc::default(),
        };
        let (rule, requests, ended) = (proxy.rule.clone(), proxy.requests.clone(), proxy.ended.clone());
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (rule, requests) = (rule.clone(), requests.clone());
                // A client that has gone away is no concern of anybody's.
                thread::spawn(move || serve(connection, upstream, &rule, &requests).ok());
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://{}/v3/s3cr3t-key", self.address)
    }

    /// Replaces the rule.
    pub fn set(&self, rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// How many requests have come so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut client: TcpStream, upstream: SocketAddr, rule: &Mutex<Rule>, requests: &AtomicU64) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    // Requests on a connection that is kept open, until one closes it.
    while let Some(body) = read_message(&mut reader)? {
        requests.fetch_add(1, Ordering::SeqCst);
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let method = request["method"].as_str().unwrap_or_default().to_string();
        let fault = (rule.lock().unwrap())(&method);
        match fault {
            Some(Fault::Drop) => return Ok(()),
            Some(Fault::Status(status)) => {
                let text = "gateway";
                let head = format!("HTTP/1.1 {status} Gateway\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                client.write_all(head.as_bytes())?;
                continue;
            }
            Some(Fault::Delay(time)) => thread::sleep(time),
            Some(Fault::Twice) => drop(forward(upstream, &body)?),
            _ => {}
        }
        let to = if let Some(Fault::Elsewhere(other)) = fault { other } else { upstream };
        let answer = forward(to, &body)?;
        let instead =
            |key: &str, value: Value| json!({ "jsonrpc": "2.0", "id": request["id"], key: value }).to_string();
        match fault {
            Some(Fault::Refuse(message)) => {
                let error = json!({ "code": -32000, "message": message });
                answer_with(&mut client, instead("error", error).as_bytes())?;
            }
            Some(Fault::Null) => answer_with(&mut client, instead("result", Value::Null).as_bytes())?,
            Some(Fault::LoseAnswer) => return Ok(()),
            Some(Fault::Garble) => answer_with(&mut client, &answer[..answer.len() / 2])?,
            _ => answer_with(&mut client, &answer)?,
        }
    }
    Ok(())
}

/// The body of the next HTTP message; `None` at the end.
fn read_message(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

fn forward(upstream: SocketAddr, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream)?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {upstream}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    server.write_all(&[head.as_bytes(), body].concat())?;
    read_message(&mut BufReader::new(server))?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn answer_with(client: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    client.write_all(&[head.as_bytes(), body].concat())
}

/// The proxy itself: each fault does what its name says.
#[test]
fn faults_do_what_they_say() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let served = Arc::new(AtomicU64::new(0));
    let count = served.clone();
    thread::spawn(move || {
        for client in upstream.incoming().map_while(Result::ok) {
            let mut client = client;
            let body = read_message(&mut BufReader::new(client.try_clone().unwrap())).unwrap().unwrap();
            let request: Value = serde_json::from_slice(&body).unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": format!("{number:#x}") });
            answer_with(&mut client, answer.to_string().as_bytes()).unwrap();
        }
    });
    let proxy = Proxy::start(address, |_| None);
    let ask = || {
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "eth_chainId" }).to_string();
        write!(stream, "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        if reader.read_line(&mut status).unwrap_or_default() == 0 {
            return None;
        }
        let body = read_message(&mut reader).unwrap().unwrap();
        Some((status, serde_json::from_slice::<Value>(&body).ok().map(|answer| answer["result"].clone())))
    };
    for (fault, answered, served_after) in [
        (None, true, 1),
        (Some(Fault::Drop), false, 1),
        (Some(Fault::LoseAnswer), false, 2),
        (Some(Fault::Twice), true, 4),
        (Some(Fault::Delay(Duration::from_millis(1))), true, 5),
        (Some(Fault::Garble), true, 6),
        (Some(Fault::Status(502)), true, 6),
        (Some(Fault::Refuse("no")), true, 7),
        (Some(Fault::Null), true, 8),
    ] {
        proxy.set(move |_| fault);
        let answer = ask();
        assert_eq!(answer.is_some(), answered, "{fault:?}");
        assert_eq!(served.load(Ordering::SeqCst), served_after, "{fault:?}");
        let Some((status, body)) = answer else { continue };
        match fault {
            Some(Fault::Garble | Fault::Status(_)) => {
                assert!(body.is_none() && (status.contains("200") || status.contains("502")), "{fault:?}: {status}");
            }
            Some(Fault::Refuse(_) | Fault::Null) => assert_eq!(body, Some(Value::Null)),
            _ => assert!(body.is_some_and(|result| result.is_string()), "{fault:?}"),
        }
    }
    assert_eq!(proxy.requests(), 9);
}
