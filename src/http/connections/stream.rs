//! The bytes of one connection, with the bounds that actix-http lacks.
//!
//! actix-http reads and parses up to 128 KiB of pipelined requests while it handles the first: 7,000 small ones, which take
//! some 30 MB. And it waits for a client that reads nothing for as long as the connection lives. So [`LimitedStream`] gives
//! it little at a time, nothing while the client doesn't read, and an error once the [`Connections`] close the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Admission, Connection};

/// What is read in one turn while no request is being handled: the head of a usual request, or 57 pipelined ones of 18 bytes,
/// which take 1.3 kB each once they are parsed.
const HEAD_TURN: usize = 1024;
/// What is read in one turn of a body.
const BODY_TURN: usize = 16 * 1024;

pub struct LimitedStream {
    stream: TcpStream,
    admission: Admission,
    /// Bytes read since the task last waited. After a turn the task has to handle them before it reads on.
    read_in_turn: usize,
}

impl LimitedStream {
    pub fn new(stream: TcpStream, admission: Admission) -> Self {
        Self {
            stream,
            admission,
            read_in_turn: 0,
        }
    }

    pub fn connection(&self) -> &Arc<Connection> {
        self.admission.connection()
    }

    fn check(&self) -> io::Result<()> {
        if self.connection().must_end() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// How many bytes may be read now.
    fn allowance(&self) -> Allowance {
        match self.connection().allowance() {
            Some(0) => Allowance::Paused,
            allowance => {
                let turn = if allowance.is_some() { BODY_TURN } else { HEAD_TURN };
                match turn.saturating_sub(self.read_in_turn) {
                    0 => Allowance::NextTurn,
                    rest => Allowance::Bytes(rest.min(allowance.unwrap_or(rest))),
                }
            }
        }
    }
}

enum Allowance {
    Bytes(usize),
    /// After the task has handled what it has read.
    NextTurn,
    /// After the request has ended, or the client has read.
    Paused,
}

impl AsyncRead for LimitedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.connection().register(context);
        this.check()?;
        let limit = match this.allowance() {
            Allowance::Bytes(limit) => limit.min(buffer.remaining()),
            Allowance::NextTurn => {
                this.read_in_turn = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Allowance::Paused => {
                this.connection().pause();
                return Poll::Pending;
            }
        };
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        let result = Pin::new(&mut this.stream).poll_read(context, &mut part);
        let bytes = part.filled().len();
        match result {
            Poll::Ready(Ok(())) if bytes > 0 => {
                buffer.advance(bytes);
                this.read_in_turn += bytes;
                this.connection().record_read(bytes);
            }
            Poll::Ready(_) => {}
            Poll::Pending => this.read_in_turn = 0,
        }
        result
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        if result.is_pending() {
            this.connection().register(context);
            this.admission.block()?;
        }
        result
    }

    /// actix-http calls this once everything it had to write is written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.admission.unblock() {
            // Reading was paused.
            context.waker().wake_by_ref();
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
