//! A receiver of messages over HTTP that does what receivers do on bad days.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{check, eventually, secs};

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This status, and a header line or none.
    Status(u16, &'static str),
    /// None at all, for so long; then the connection ends.
    Hang(Duration),
    /// The connection ends at once.
    Cut,
}

/// One request that came.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Path and query.
    pub path: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When it came.
    pub at: Instant,
    /// What was answered: `0` for nothing.
    pub status: u16,
}

impl Posted {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A server on 127.0.0.1 that answers as its script says, then 200. It serves as long as the process lives.
pub struct Receiver {
    port: u16,
    script: Arc<Mutex<VecDeque<Answer>>>,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// Starts one.
    pub fn start(script: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            script: Arc::new(Mutex::new(script.iter().cloned().collect())),
            posted: Arc::default(),
        };
        let (script, posted) = (receiver.script.clone(), receiver.posted.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (script, posted) = (script.clone(), posted.clone());
                std::thread::spawn(move || serve(connection, &script, &posted));
            }
        });
        receiver
    }

    /// Its address, with a path that is a secret.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/s3cret-path", self.port)
    }

    /// What it is shown as.
    pub fn server(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All requests so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// Bodies of the requests that were taken, as JSON.
    pub fn taken(&self) -> Vec<Value> {
        self.posted().iter().filter(|posted| posted.status == 200).map(Posted::json).collect()
    }

    /// Waits until so many were taken.
    #[track_caller]
    pub fn wait_taken(&self, count: usize, bound: u64) -> Vec<Value> {
        eventually(secs(bound), &format!("{count} messages were taken"), || {
            let taken = self.taken();
            check(taken.len() >= count, || format!("{:#?}", self.posted())).map(|()| taken)
        })
    }
}

fn serve(connection: TcpStream, script: &Mutex<VecDeque<Answer>>, posted: &Mutex<Vec<Posted>>) {
    let Some(mut request) = read(&connection) else { return };
    let answer = script.lock().unwrap().pop_front().unwrap_or(Answer::Status(200, ""));
    match answer {
        Answer::Status(status, header) => {
            request.status = status;
            posted.lock().unwrap().push(request);
            let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            let body = "said /hooks/s3cret-path";
            let text =
                format!("HTTP/1.1 {status} X\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = (&connection).write_all(text.as_bytes());
        }
        Answer::Hang(time) => {
            posted.lock().unwrap().push(request);
            std::thread::sleep(time);
        }
        Answer::Cut => posted.lock().unwrap().push(request),
    }
}

fn read(connection: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Posted { path, headers, body, at: Instant::now(), status: 0 })
}
