//! A session: the login, and then an answer to each message.

use super::catalog::Catalog;
use super::cell::Cell;
use super::engine::{Step, parse, plan, told};
use super::fault::{Fault, Malformed, message};
use super::login::{FEATURE_FEDAUTH, Login7};
use super::packet::{self, ATTENTION, LOGIN7, Packets, RPC, SQL_BATCH, TRANSACTION_MANAGER};
use super::rpc::{Parameter, Rpc, headers, statement};
use super::server::{Refused, Shared};
use super::token::{
    self, Column, DONE, DONE_ATTN, DONE_COUNT, DONE_ERROR, DONE_IN_PROC, DONE_MORE, DONE_PROC, Message,
};
use super::types::COLLATION;
use super::wire::{Reader, invalid, utf16};
use futures::StreamExt;
use std::io::{Error, ErrorKind, Result};
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio_postgres::{Client, SimpleQueryMessage};

pub(crate) const TDS_7_4: u32 = 0x7400_0004;
pub(crate) const TDS_8_0: u32 = 0x0800_0000;
/// Of transactions there is one a session.
pub(crate) const DESCRIPTOR: [u8; 8] = [1, 0, 0, 0, 57, 0, 0, 0];

/// An answer on its way out.
pub(crate) struct Answer<'a, S> {
    line: &'a mut WriteHalf<S>,
    packets: Packets,
    /// The bytes that may still go out, and whether the line then ends.
    budget: Option<(usize, bool)>,
}

impl<S: AsyncRead + AsyncWrite> Answer<'_, S> {
    async fn push(&mut self, tokens: &mut Vec<u8>) -> Result<()> {
        let bytes = self.packets.push(tokens);
        tokens.clear();
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let may = self.budget.map_or(bytes.len(), |(left, _)| left.min(bytes.len()));
        self.line.write_all(&bytes[..may]).await?;
        if let Some((left, ends)) = &mut self.budget {
            *left -= may;
            if may < bytes.len() {
                self.line.flush().await?;
                if !*ends {
                    std::future::pending::<()>().await;
                }
                return Err(Error::new(ErrorKind::ConnectionReset, "as the test wants"));
            }
        }
        Ok(())
    }

    async fn end(mut self, tokens: &[u8]) -> Result<()> {
        let mut bytes = self.packets.push(tokens);
        bytes.extend(std::mem::replace(&mut self.packets, Packets::new(512)).end());
        self.write(&bytes).await?;
        self.line.flush().await
    }
}

pub(crate) struct Session<S> {
    shared: Arc<Shared>,
    line: WriteHalf<S>,
    messages: mpsc::Receiver<packet::Message>,
    size: usize,
    client: Client,
    database: String,
    isolation: &'static str,
    in_transaction: bool,
}

/// Reads LOGIN7; none where the client is gone.
pub(crate) async fn login7<S: AsyncRead + Unpin>(line: &mut S) -> Result<Option<Login7>> {
    match packet::read(line).await? {
        None => Ok(None),
        Some(packet::Message { kind: LOGIN7, body }) => Login7::decode(&body).map(Some),
        Some(_) => Err(invalid("no LOGIN7")),
    }
}

/// A session from its login on. `nonce` is what PRELOGIN brought for a federated login.
pub(crate) async fn run<S>(shared: Arc<Shared>, mut line: S, login: Login7, nonce: Option<[u8; 32]>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut tokens = Vec::new();
    let client = match shared.admit(&login).await {
        Ok(client) => client,
        Err(Refused::Sent(port)) => {
            token::login_ack(&mut tokens, TDS_7_4, "Microsoft SQL Server", [16, 0, 0x03, 0xE8]);
            token::routing(&mut tokens, "127.0.0.1", port);
            token::done(&mut tokens, DONE, 0, 0, 0);
            let mut packets = Packets::new(packet::FIRST_SIZE);
            let mut bytes = packets.push(&tokens);
            bytes.extend(packets.end());
            line.write_all(&bytes).await?;
            return line.shutdown().await;
        }
        Err(Refused::Told(errors)) => {
            errors.iter().for_each(|error| error.put(&mut tokens));
            token::done(&mut tokens, DONE, DONE_ERROR, 0, 0);
            let mut packets = Packets::new(packet::FIRST_SIZE);
            let mut bytes = packets.push(&tokens);
            bytes.extend(packets.end());
            line.write_all(&bytes).await?;
            return line.shutdown().await;
        }
    };
    let size = packet::agreed(login.packet_size);
    token::env_text(&mut tokens, token::ENV_DATABASE, &login.database, "master");
    Message { number: 5701, state: 2, class: 0, text: format!("Changed database context to '{}'.", login.database) }
        .put(&mut tokens);
    token::env_bytes(&mut tokens, token::ENV_COLLATION, &COLLATION, &[]);
    token::env_text(&mut tokens, token::ENV_LANGUAGE, "us_english", "");
    Message { number: 5703, state: 1, class: 0, text: "Changed language setting to us_english.".into() }
        .put(&mut tokens);
    let version = if login.tds_version == TDS_8_0 { TDS_8_0 } else { TDS_7_4 };
    token::login_ack(&mut tokens, version, "Microsoft SQL Server", [16, 0, 0x03, 0xE8]);
    token::env_text(&mut tokens, token::ENV_PACKET_SIZE, &size.to_string(), &packet::FIRST_SIZE.to_string());
    if login.features.contains(&FEATURE_FEDAUTH) {
        token::fed_auth_ack(&mut tokens, nonce.filter(|_| login.nonce.is_some()));
    }
    token::done(&mut tokens, DONE, 0, 0, 0);
    let mut packets = Packets::new(packet::FIRST_SIZE);
    let mut bytes = packets.push(&tokens);
    bytes.extend(packets.end());
    line.write_all(&bytes).await?;
    line.flush().await?;

    let (mut reads, line) = tokio::io::split(line);
    let (send, messages) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok(Some(message)) = packet::read(&mut reads).await {
            if send.send(message).await.is_err() {
                break;
            }
        }
    });
    let isolation = "READ COMMITTED";
    let mut session =
        Session { shared, line, messages, size, client, database: login.database, isolation, in_transaction: false };
    while let Some(message) = session.messages.recv().await {
        session.answer(message).await?;
    }
    Ok(())
}

impl<S: AsyncRead + AsyncWrite> Session<S> {
    async fn answer(&mut self, message: packet::Message) -> Result<()> {
        let mut body = Reader(&message.body);
        match message.kind {
            SQL_BATCH => {
                headers(&mut body)?;
                let batch = utf16(body.0)?;
                self.batch(&batch, &[], false).await
            }
            RPC => {
                headers(&mut body)?;
                let rpc = Rpc::decode(&mut body)?;
                match statement(&rpc) {
                    Ok((batch, parameters)) => self.batch(&batch, &parameters, true).await,
                    Err(error) => self.error(&error, DONE_PROC).await,
                }
            }
            TRANSACTION_MANAGER => {
                headers(&mut body)?;
                let step = match body.u16()? {
                    5 => {
                        match body.u8()? {
                            0 => {}
                            1 => self.isolation = "READ UNCOMMITTED",
                            2 => self.isolation = "READ COMMITTED",
                            3 | 5 => self.isolation = "REPEATABLE READ",
                            4 => self.isolation = "SERIALIZABLE",
                            _ => return Err(invalid("an isolation level")),
                        }
                        Step::Begin
                    }
                    7 => Step::Commit,
                    8 => Step::Rollback,
                    _ => return Err(invalid("a request of the transaction manager")),
                };
                let mut tokens = Vec::new();
                if let Err(error) = self.transaction(&step, &mut tokens).await {
                    return self.error(&error, DONE).await;
                }
                token::done(&mut tokens, DONE, 0, 0xFD, 0);
                self.start(None).end(&tokens).await
            }
            // What was to be stopped is over.
            ATTENTION => {
                let mut tokens = Vec::new();
                token::done(&mut tokens, DONE, DONE_ATTN, 0, 0);
                self.start(None).end(&tokens).await
            }
            other => Err(invalid(&format!("a message of type {other:#04x}"))),
        }
    }

    fn start(&mut self, budget: Option<(usize, bool)>) -> Answer<'_, S> {
        Answer { line: &mut self.line, packets: Packets::new(self.size), budget }
    }

    async fn error(&mut self, error: &Message, done: u8) -> Result<()> {
        let mut tokens = Vec::new();
        error.put(&mut tokens);
        token::done(&mut tokens, done, DONE_ERROR, 0, 0);
        self.start(None).end(&tokens).await
    }

    async fn transaction(&mut self, step: &Step, tokens: &mut Vec<u8>) -> std::result::Result<(), Message> {
        let (sql, kind) = match step {
            Step::Begin => (format!("BEGIN ISOLATION LEVEL {}", self.isolation), token::ENV_BEGIN),
            Step::Commit => ("COMMIT".into(), token::ENV_COMMIT),
            _ => ("ROLLBACK".into(), token::ENV_ROLLBACK),
        };
        let begins = *step == Step::Begin;
        if begins == self.in_transaction {
            let (number, text) = match begins {
                true => (3902, "Transactions within one another are not understood."),
                false => (3902, "The COMMIT or ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."),
            };
            return Err(Message::error(number, 16, text));
        }
        self.client.batch_execute(&sql).await.map_err(|error| told(&error))?;
        self.in_transaction = begins;
        match begins {
            true => token::env_bytes(tokens, kind, &DESCRIPTOR, &[]),
            false => token::env_bytes(tokens, kind, &[], &DESCRIPTOR),
        }
        Ok(())
    }

    /// A batch, or what `sp_executesql` gets.
    async fn batch(&mut self, batch: &str, parameters: &[Parameter], procedure: bool) -> Result<()> {
        self.shared.log(batch);
        let (each, last) = if procedure { (DONE_IN_PROC, DONE_PROC) } else { (DONE, DONE) };
        let (mut budget, mut behind) = (None, None);
        match self.shared.faults.statement(batch) {
            Some(Fault::Error(number)) => return self.error(&message(number), last).await,
            Some(Fault::Malformed(Malformed::PacketLength)) => {
                self.line.write_all(&[4, 1, 0, 3, 0, 0, 1, 0]).await?;
                return self.line.flush().await;
            }
            Some(Fault::Malformed(malformed)) => return self.start(None).end(&malformed.tokens()).await,
            Some(Fault::Cut(bytes)) => budget = Some((bytes, true)),
            Some(Fault::Stall(bytes)) => budget = Some((bytes, false)),
            Some(Fault::ErrorBehind(number, rows)) => behind = Some((number, rows)),
            Some(Fault::Login(_) | Fault::Routing(_)) | None => {}
        }
        if !self.shared.options.sees && batch.contains("sys.dm_") {
            return self.error(&message(300), last).await;
        }
        let parsed = match parse(batch) {
            Ok(parsed) => parsed,
            Err(error) => return self.error(&error, last).await,
        };
        let (mut tokens, mut row_count) = (Vec::new(), 0);
        let count = parsed.len();
        let size = self.size;
        let mut packets = Packets::new(size);
        for (n, parsed) in parsed.iter().enumerate() {
            let more = if procedure || n + 1 < count { DONE_MORE } else { 0 };
            let step = match Catalog::load(&self.client, &self.database).await {
                Ok(catalog) => plan(parsed, &catalog.with(row_count), parameters),
                Err(error) => Err(told(&error)),
            };
            let done =
                |tokens: &mut Vec<u8>, command, status, rows| token::done(tokens, each, status | more, command, rows);
            let ran = match step {
                Err(error) => Err(error),
                Ok(Step::Rows { sql, columns }) => {
                    let mut answer = Answer { line: &mut self.line, packets, budget };
                    let ran = rows(&mut answer, &self.client, &mut self.messages, &sql, &columns, behind, &mut tokens)
                        .await?;
                    (packets, budget) = (answer.packets, answer.budget);
                    match ran {
                        Ok(Some(rows)) => {
                            row_count = rows;
                            done(&mut tokens, token::SELECT, DONE_COUNT, rows);
                            Ok(())
                        }
                        // An attention ends all of the answer.
                        Ok(None) => {
                            token::done(&mut tokens, DONE, DONE_ATTN, 0, 0);
                            return Answer { line: &mut self.line, packets, budget }.end(&tokens).await;
                        }
                        Err(error) => Err(error),
                    }
                }
                Ok(Step::Count { sql, command }) => match self.client.simple_query(&sql).await {
                    Ok(messages) => {
                        let rows = messages.iter().find_map(|message| match message {
                            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                            _ => None,
                        });
                        done(&mut tokens, command, DONE_COUNT, rows.unwrap_or(0));
                        Ok(())
                    }
                    Err(error) => Err(told(&error)),
                },
                Ok(Step::Run(sql)) => match self.client.batch_execute(&sql).await {
                    Ok(()) => {
                        done(&mut tokens, 0, 0, 0);
                        Ok(())
                    }
                    Err(error) => Err(told(&error)),
                },
                Ok(Step::Isolation(level)) => {
                    self.isolation = level;
                    done(&mut tokens, 0xF9, 0, 0);
                    Ok(())
                }
                Ok(Step::Nothing) => {
                    done(&mut tokens, 0xF9, 0, 0);
                    Ok(())
                }
                Ok(step) => match self.transaction(&step, &mut tokens).await {
                    Ok(()) => {
                        token::done(&mut tokens, each, more, 0xFD, 0);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = ran {
                error.put(&mut tokens);
                token::done(&mut tokens, last, DONE_ERROR, 0, 0);
                return Answer { line: &mut self.line, packets, budget }.end(&tokens).await;
            }
        }
        if procedure {
            token::return_status(&mut tokens, 0);
        }
        if procedure || count == 0 {
            token::done(&mut tokens, last, 0, 0xE0, 0);
        }
        Answer { line: &mut self.line, packets, budget }.end(&tokens).await
    }
}

/// Rows of a query as they come: how many; none where the client wants no more.
async fn rows<S: AsyncRead + AsyncWrite>(
    answer: &mut Answer<'_, S>,
    client: &Client,
    messages: &mut mpsc::Receiver<packet::Message>,
    sql: &str,
    columns: &[Column],
    behind: Option<(u32, u64)>,
    tokens: &mut Vec<u8>,
) -> Result<std::result::Result<Option<u64>, Message>> {
    let stream = match client.simple_query_raw(sql).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(told(&error))),
    };
    let (mut stream, mut count, mut told_columns) = (pin!(stream), 0, false);
    while let Some(next) = stream.next().await {
        let row = match next {
            Err(error) => return Ok(Err(told(&error))),
            Ok(SimpleQueryMessage::Row(row)) => row,
            Ok(SimpleQueryMessage::RowDescription(_)) => {
                token::col_metadata(tokens, columns);
                told_columns = true;
                continue;
            }
            Ok(_) => continue,
        };
        if let Some((number, rows)) = behind
            && rows == count
        {
            return Ok(Err(message(number)));
        }
        let cell = |(n, column): (usize, &Column)| {
            let text = row.get(n);
            Cell::parse(&column.of, text).ok_or_else(|| invalid(&format!("{text:?} is no {:?}", column.of)))
        };
        let cells = columns.iter().enumerate().map(cell).collect::<Result<Vec<_>>>()?;
        token::shorter_row(tokens, columns, &cells);
        count += 1;
        if tokens.len() > 16_384 {
            answer.push(tokens).await?;
            if let Ok(packet::Message { kind: ATTENTION, .. }) = messages.try_recv() {
                let _ = client.cancel_token().cancel_query(tokio_postgres::NoTls).await;
                return Ok(Ok(None));
            }
        }
    }
    if !told_columns {
        token::col_metadata(tokens, columns);
    }
    Ok(Ok(Some(count)))
}
