//! `POST /api-keys`.

use actix_web::{HttpResponse, post, web};
use utoipa::ToSchema;

use super::response::IssuedApiKeyResponse;
use crate::api_keys::model::{Grant, KeyName, NewApiKey, Remark, RequestedExpiry, Scopes, WholeDays};
use crate::api_keys::networks::AllowedIps;
use crate::api_keys::operations;
use crate::auth::{Caller, Password, Session};
use crate::db::Tx;
use crate::error::Error;
use crate::http::{Idempotent, RequestInput};
use crate::orgs::membership;
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::ids::OrgId;
use crate::values::{IdRef, Timestamp};

request_type! {
    /// The API key to create.
    #[derive(ToSchema)]
    pub struct CreateApiKeyRequest {
        /// Name of the key.
        pub name: KeyName,
        /// Organisation the key acts in; absent: a personal key.
        #[schema(value_type = Option<OrgId>, nullable = false)]
        pub org_id: Option<IdRef<OrgId>>,
        /// Scopes to grant, see `GET /scopes`; absent: none.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub scopes: Option<Scopes>,
        /// Time of expiry. If this and `expires_in_days` are absent, the key expires after the maximum lifetime that the operator
        /// has set (`KEYWARD_KEY_MAX_LIFETIME_DAYS`), or else never.
        pub expires_at: Option<Timestamp>,
        /// Days until the key expires, instead of `expires_at`.
        #[schema(value_type = Option<i64>, minimum = 1, maximum = 36500)]
        pub expires_in_days: Option<WholeDays>,
        /// Note on the key.
        pub remark: Option<Remark>,
        /// Networks the key may be used from, in CIDR notation; absent or empty: all.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub allowed_ips: Option<AllowedIps>,
        /// Current password of the caller.
        pub current_password: Password,
    }
}

impl CreateApiKeyRequest {
    fn into_parts(self) -> Result<(NewApiKey, Password), Error> {
        let new = NewApiKey {
            name: self.name,
            grant: Grant {
                org_id: self.org_id.map(IdRef::id).transpose()?,
                scopes: self.scopes.unwrap_or_default().deduplicated(),
                expiry: RequestedExpiry::new(self.expires_at, self.expires_in_days),
            },
            remark: self.remark,
            allowed_ips: self.allowed_ips.unwrap_or_default().0,
        };
        Ok((new, self.current_password))
    }
}

/// Create an API key
///
/// Creates a key that belongs to the caller and acts for them, personally or in the organisation `org_id`. The active
/// organisation of the session makes no difference. The response contains the secret, which cannot be retrieved again.
/// Needs a session and the current password. The caller can grant only scopes that they may use there themselves. The
/// caller is notified by e-mail. A user can have 100 API keys.
#[utoipa::path(
    operation_id = "createApiKey", tag = "API keys", security(("session" = [])), request_body = CreateApiKeyRequest,
    responses((status = 201, description = "The key and its secret", body = IssuedApiKeyResponse)),
)]
#[post("/api-keys")]
pub async fn create_api_key(
    mut caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let mut fields = input.fields().await?;
    let now = caller.now();
    let grant = Grant::peek(&fields)?;
    let membership = match grant.org_id {
        Some(org_id) => {
            // With the caller checked again: the body may have come long after the credential was revoked.
            let require =
                move |tx: &mut Tx<'_>, caller: &Caller<Session>| membership::require(tx, org_id, caller.user_id);
            Some(caller.clone().transaction(&state, require).await?)
        }
        None => None,
    };
    // Checked before the password, and reported together with the errors of the other fields; checked again by the
    // transaction, as a role may change in between.
    if let Err(errors) = operations::check_grant(&state, &caller, membership.as_ref(), &grant) {
        fields.add_errors(errors);
    }
    let (new, password) = fields.read::<CreateApiKeyRequest>()?.into_parts()?;
    users::check_password(&state, &mut caller, password, "#/current_password").await?;
    let tx_state = state.clone();
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let issued = operations::create(tx, &tx_state, caller, new.clone())?;
            IssuedApiKeyResponse::created(issued, now, &tx_state)
        })
        .await
}
