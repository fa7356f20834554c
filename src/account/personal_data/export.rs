//! Streams an export as one JSON object.
//!
//! A task reads one batch after another and sends it to the response; at most two batches wait there. No connection of the
//! database is held in between, so the export is no snapshot: it leaves out what is created after its beginning, but shows
//! what is changed meanwhile in its new state or its old.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::rt;
use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use uuid::Uuid;

use super::store::{self, ExportedAccount, SECTIONS, Section};
use crate::error::Error;
use crate::http::Slot;
use crate::state::State;
use crate::values::Timestamp;
use crate::values::ids::UserId;

/// Items per batch. An item is a few hundred bytes; the longest, an organisation's or a notification's, has less than 8 KiB.
const BATCH: i64 = 100;
/// Batches that wait for the client.
const MAX_WAITING: usize = 2;
/// A client that takes no batch for so long gets no more, so that it doesn't keep others from their exports.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

enum Chunk {
    Part(Bytes),
    /// Without it the JSON is not complete.
    Last(Bytes),
}

/// An export that has begun.
pub struct Export {
    pub state: State,
    pub user_id: UserId,
    /// When the export began.
    pub now: DateTime<Utc>,
    pub account: ExportedAccount,
    /// Is released with the last batch.
    pub slot: Slot,
}

impl Export {
    /// The body of the response. If the export can't be completed, the stream ends with an error, for which actix breaks the
    /// connection: the client sees that the response is not whole.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        rt::spawn(async move {
            if let Err(error) = self.send_all(&sender).await {
                tracing::warn!(%error, "an export ended early");
            }
        });
        stream::unfold(Some(receiver), next)
    }

    async fn send_all(self, sender: &Sender<Chunk>) -> Result<(), Error> {
        let _slot = &self.slot;
        let (exported_at, account) = (Timestamp(self.now), &self.account);
        let exported_at = serde_json::to_string(&exported_at).map_err(Error::internal)?;
        let head = format!(
            "{{\"exported_at\":{exported_at},\"account\":{},\"mail_opt_outs\":{}",
            account.account, account.mail_opt_outs
        );
        send(sender, Chunk::Part(head.into())).await?;
        for section in SECTIONS {
            self.send_section(sender, section).await?;
        }
        send(sender, Chunk::Last(Bytes::from_static(b"}"))).await
    }

    async fn send_section(&self, sender: &Sender<Chunk>, section: &'static Section) -> Result<(), Error> {
        let mut text = format!(",\"{}\":[", section.name);
        let mut separator = "";
        let mut after = (DateTime::UNIX_EPOCH, Uuid::nil());
        loop {
            let user_id = self.user_id;
            let items = self
                .state
                .db
                .read(self.now, move |tx| {
                    store::export_batch(tx, section, user_id, after, BATCH)
                })
                .await?;
            let is_last = items.last().is_none_or(|item| {
                after = (item.at, item.id);
                items.len() < usize::try_from(BATCH).unwrap_or(usize::MAX)
            });
            for item in items {
                // Writing to a string does not fail.
                let _ = write!(text, "{separator}{}", item.item);
                separator = ",";
            }
            if is_last {
                text.push(']');
            }
            send(sender, Chunk::Part(std::mem::take(&mut text).into())).await?;
            if is_last {
                return Ok(());
            }
        }
    }
}

async fn send(sender: &Sender<Chunk>, chunk: Chunk) -> Result<(), Error> {
    sender
        .send_timeout(chunk, CLIENT_TIMEOUT)
        .await
        .map_err(Error::unavailable)
}

async fn next(receiver: Option<Receiver<Chunk>>) -> Option<(Result<Bytes, Error>, Option<Receiver<Chunk>>)> {
    let mut receiver = receiver?;
    Some(match receiver.recv().await {
        Some(Chunk::Part(part)) => (Ok(part), Some(receiver)),
        Some(Chunk::Last(part)) => (Ok(part), None),
        None => (Err(Error::unavailable("the export is not complete")), None),
    })
}
