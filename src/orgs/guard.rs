//! The common part of extractors that read the database before the body of the request: they refuse a caller who is not a
//! member (404) or lacks the role (403).

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use crate::auth::{Identity, Principal};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::http::{FromPath, Path, no_replay};
use crate::state::State;
use crate::values::Client;
use crate::values::ids::{Id as _, OrgId};

/// Parses the ids of the path, waits until no stored response is replayed (see [`no_replay`]), then runs `find` on a
/// database connection: the body of `FromRequest::from_request` of an extractor that needs the database.
///
/// Such an extractor comes after [`Caller`](crate::auth::Caller) among the arguments of a handler. `Caller` refuses without
/// waiting, so a request without a valid credential gets its 401 or 403 before anything is looked up.
pub fn look_up<Ids, Found>(
    request: &HttpRequest,
    payload: &mut Payload,
    find: impl FnOnce(&mut Tx<'_>, &Principal, Ids) -> Result<Found, Error> + Send + 'static,
) -> LocalBoxFuture<'static, Result<Found, Error>>
where
    Ids: FromPath + Send + 'static,
    Found: Send + 'static,
{
    let path = Path::<Ids>::from_request(request, payload);
    let request = request.clone();
    // Also the ids that only the handler's `Path` parses: a fast look-up must not refuse with 403 before the 404 of `Path`.
    let mut segments = request.match_info().iter().map(|(_, segment)| segment);
    let are_ids = segments.all(|segment| OrgId::parse(segment).is_some());
    let look_up = async move {
        let Path(ids) = path.await?;
        if !are_ids {
            // As `Path` does, so that both close the connection alike.
            tokio::task::yield_now().await;
            return Err(Error::not_found());
        }
        no_replay(&request).await;
        let (principal, now) = authenticated(&request)?;
        let state: &web::Data<State> = request
            .app_data()
            .ok_or_else(|| Error::internal("the application has no state"))?;
        state.db.read(now, move |tx| find(tx, &principal, ids)).await
    };
    look_up.boxed_local()
}

fn authenticated(request: &HttpRequest) -> Result<(Arc<Principal>, DateTime<Utc>), Error> {
    let extensions = request.extensions();
    match (extensions.get::<Identity>(), extensions.get::<Client>()) {
        (Some(Identity::Authenticated(principal)), Some(client)) => Ok((Arc::clone(principal), client.now)),
        _ => Err(Error::new(Code::AuthenticationRequired)),
    }
}
