//! A connection that sends the messages of the extended protocol one by one: drivers put a Sync
//! after each statement or decide themselves where it goes.

use crate::check::fail;
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use postgres_protocol::IsNull;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What the server said to one Execute, or to a Sync.
#[derive(Debug, PartialEq, Clone)]
pub enum Reply {
    /// The rows of a statement that went well, each the text of its columns.
    Rows(Vec<Vec<String>>),
    /// The SQLSTATE of a failure; what follows up to the next Sync is skipped.
    Error(String),
    /// ReadyForQuery: `I` outside a transaction, `T` inside, `E` inside a failed one.
    Ready(char),
}

/// No reply takes that long.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Connection {
    stream: UnixStream,
    out: BytesMut,
    input: BytesMut,
}

impl Connection {
    /// Connects over the unix socket that a DSN of `key=value` pairs names.
    pub fn open(dsn: &str) -> Result<Connection, String> {
        let find = |key: &str| {
            // The last one counts, as in libpq.
            dsn.split_whitespace().rev().find_map(|p| p.strip_prefix(key)).unwrap_or_default()
        };
        let path = format!("{}/.s.PGSQL.{}", find("host="), find("port="));
        let stream = UnixStream::connect(&path).map_err(fail(&path))?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(fail("timeout"))?;
        let mut connection = Connection { stream, out: BytesMut::new(), input: BytesMut::new() };
        let parameters = [("user", find("user=")), ("database", find("dbname="))];
        frontend::startup_message(parameters, &mut connection.out).map_err(fail("startup"))?;
        connection.replies()?;
        Ok(connection)
    }

    /// Queues a statement: Parse, Bind with text parameters, Execute.
    pub fn execute(&mut self, sql: &str, params: &[&str]) -> Result<(), String> {
        let out = &mut self.out;
        frontend::parse("", sql, [], out).map_err(fail("Parse"))?;
        self.again("", params)
    }

    /// Queues Parse of a named statement.
    pub fn prepare(&mut self, name: &str, sql: &str) -> Result<(), String> {
        frontend::parse(name, sql, [], &mut self.out).map_err(fail("Parse"))
    }

    /// Queues Bind and Execute of a named statement.
    pub fn again(&mut self, name: &str, params: &[&str]) -> Result<(), String> {
        let out = &mut self.out;
        let bound = frontend::bind(
            "",
            name,
            [],
            params,
            |param, buffer| {
                buffer.extend_from_slice(param.as_bytes());
                Ok(IsNull::No)
            },
            [],
            out,
        );
        bound.map_err(|_| "Bind could not be written".to_owned())?;
        frontend::execute("", 0, out).map_err(fail("Execute"))
    }

    /// Queues a Sync: what was queued since the last one is a transaction of its own.
    pub fn sync(&mut self) {
        frontend::sync(&mut self.out);
    }

    /// Sends what is queued and reads replies up to the last ReadyForQuery.
    pub fn send(&mut self, syncs: usize) -> Result<Vec<Reply>, String> {
        let mut all = Vec::new();
        for _ in 0..syncs {
            all.extend(self.replies()?);
        }
        Ok(all)
    }

    /// Calls a function by its OID and the fast-path protocol, arguments and result as text. Answers the
    /// SQLSTATE of a failure. The crate does not know the messages, so they are written and read here.
    pub fn call(&mut self, function: u32, arguments: &[&str]) -> Result<Option<String>, String> {
        let mut body = function.to_be_bytes().to_vec();
        body.extend(0i16.to_be_bytes());
        body.extend((arguments.len() as i16).to_be_bytes());
        for argument in arguments {
            body.extend((argument.len() as i32).to_be_bytes());
            body.extend(argument.as_bytes());
        }
        body.extend(0i16.to_be_bytes());
        let mut message = vec![b'F'];
        message.extend((body.len() as i32 + 4).to_be_bytes());
        message.extend(body);
        self.stream.write_all(&message).map_err(fail("write"))?;
        let mut code = None;
        loop {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head).map_err(fail("read"))?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; (length as usize).saturating_sub(4)];
            self.stream.read_exact(&mut body).map_err(fail("read"))?;
            match head[0] {
                b'E' => {
                    let fields = body.split(|byte| *byte == 0);
                    code = fields
                        .filter_map(|field| field.strip_prefix(b"C"))
                        .map(|code| String::from_utf8_lossy(code).into_owned())
                        .next();
                }
                b'Z' => return Ok(code),
                _ => {}
            }
        }
    }

    /// Sends what is queued and reads up to the next ReadyForQuery.
    fn replies(&mut self) -> Result<Vec<Reply>, String> {
        self.stream.write_all(&self.out).map_err(fail("write"))?;
        self.out.clear();
        let mut replies = Vec::new();
        let mut rows = Vec::new();
        loop {
            match self.message()? {
                Message::DataRow(row) => {
                    let columns = row.ranges().map(|range| {
                        Ok(range.map_or("NULL".to_owned(), |range| {
                            String::from_utf8_lossy(&row.buffer()[range]).into_owned()
                        }))
                    });
                    rows.push(columns.collect().map_err(fail("DataRow"))?);
                }
                Message::CommandComplete(_) => replies.push(Reply::Rows(std::mem::take(&mut rows))),
                Message::ErrorResponse(body) => {
                    let mut fields = body.fields();
                    let mut code = String::new();
                    while let Some(field) = fields.next().map_err(fail("ErrorResponse"))? {
                        if field.type_() == b'C' {
                            code = String::from_utf8_lossy(field.value_bytes()).into_owned();
                        }
                    }
                    replies.push(Reply::Error(code));
                }
                Message::ReadyForQuery(body) => {
                    replies.push(Reply::Ready(body.status() as char));
                    return Ok(replies);
                }
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<Message, String> {
        loop {
            if let Some(message) = Message::parse(&mut self.input).map_err(fail("parse"))? {
                return Ok(message);
            }
            let mut chunk = [0; 4096];
            let n = self.stream.read(&mut chunk).map_err(fail("read"))?;
            if n == 0 {
                return Err("the server closed the connection".to_owned());
            }
            self.input.extend_from_slice(&chunk[..n]);
        }
    }
}
