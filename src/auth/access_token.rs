//! Access tokens: JWT (RFC 7519) of type `at+jwt` (RFC 9068), signed with Ed25519 (RFC 8037).
//!
//! A token says who and where, and until when; whether that still holds is for the session's row to say.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::roles::{OrgRole, PlatformRole};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::values::ids::{OrgId, SessionId, UserId};

/// By how much the clocks of machines may differ, in seconds.
const LEEWAY_SECONDS: i64 = 5;

/// The type of access tokens (RFC 9068 §2.1), so that no other JWT is taken for one.
const TYPE: &str = "at+jwt";

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the public URL.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The person.
    pub sub: UserId,
    /// Not good from this instant on, in seconds since 1970.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Not good before.
    pub nbf: i64,
    /// Its own id.
    pub jti: Uuid,
    /// The session.
    pub sid: SessionId,
    /// When the password was last shown.
    pub auth_time: i64,
    /// The person's role on the platform when it was issued.
    pub role: PlatformRole,
    /// Where the session acts by this token.
    pub org_id: Option<OrgId>,
    /// The person's role there when it was issued.
    pub org_role: Option<OrgRole>,
}

/// Why a signing key cannot be used; says what is wrong with it, not what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(&'static str);

struct Key {
    kid: String,
    public: String,
    decoding: DecodingKey,
}

/// Issues and checks access tokens.
pub struct AccessTokens {
    signing: EncodingKey,
    header: Header,
    keys: Vec<Key>,
    issuer: String,
    audience: String,
    lifetime_seconds: i64,
    validation: Validation,
}

impl AccessTokens {
    /// With the keys in `pems` (PKCS #8, RFC 8410): the first signs, all verify.
    ///
    /// # Errors
    /// There is no key, or one of them is not an Ed25519 private key.
    pub fn new(pems: &[String], issuer: &str, audience: &str, lifetime_seconds: u32) -> Result<Self, KeyError> {
        let mut signing = None;
        let mut keys = Vec::with_capacity(pems.len());
        for pem in pems {
            let der = pem::parse(pem).map_err(|_| KeyError("not a PEM file"))?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.contents())
                .map_err(|_| KeyError("not an Ed25519 private key in PKCS #8"))?;
            let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            let decoding = DecodingKey::from_ed_components(&public).map_err(|_| KeyError("not an Ed25519 key"))?;
            let kid = thumbprint(&public);
            if signing.is_none() {
                let mut header = Header::new(Algorithm::EdDSA);
                header.typ = Some(TYPE.to_owned());
                header.kid = Some(kid.clone());
                let encoding = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyError("not an Ed25519 key"))?;
                signing = Some((encoding, header));
            }
            keys.push(Key { kid, public, decoding });
        }
        let (signing, header) = signing.ok_or(KeyError("there is no signing key"))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // The times are compared below, with the instant of the request.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let [issuer, audience] = [issuer, audience].map(ToOwned::to_owned);
        Ok(Self {
            signing,
            header,
            keys,
            issuer,
            audience,
            lifetime_seconds: lifetime_seconds.into(),
            validation,
        })
    }

    /// How long a token lives, in seconds.
    pub const fn lifetime_seconds(&self) -> i64 {
        self.lifetime_seconds
    }

    /// Whom tokens are from.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Issues a token for a session.
    ///
    /// # Errors
    /// When signing fails, which a key that was read once does not.
    pub fn issue(
        &self,
        now: DateTime<Utc>,
        session: (UserId, SessionId),
        authenticated_at: DateTime<Utc>,
        role: PlatformRole,
        org: Option<(OrgId, OrgRole)>,
    ) -> Result<String, Error> {
        let (org_id, org_role) = org.unzip();
        let issued_at = now.timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: session.0,
            exp: issued_at + self.lifetime_seconds,
            iat: issued_at,
            nbf: issued_at,
            jti: Uuid::new_v4(),
            sid: session.1,
            auth_time: authenticated_at.timestamp(),
            role,
            org_id,
            org_role,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing).map_err(Error::internal)
    }

    /// What a token says, if it is one of ours and in its time.
    pub fn verify(&self, now: DateTime<Utc>, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let kid = header.kid?;
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation)
            .ok()?
            .claims;
        self.are_timely(now, &claims).then_some(claims)
    }

    /// Whether a token with these claims is in its time.
    pub fn are_timely(&self, now: DateTime<Utc>, claims: &Claims) -> bool {
        let now = now.timestamp();
        claims.nbf <= now + LEEWAY_SECONDS && now < claims.exp + LEEWAY_SECONDS
    }

    /// The public keys (RFC 7517), for those who check signatures themselves.
    pub fn jwks(&self) -> Value {
        let key = |key: &Key| json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.public});
        json!({"keys": self.keys.iter().map(key).collect::<Vec<_>>()})
    }
}

/// The key's name: its thumbprint (RFC 7638 §3, RFC 8037 §2).
fn thumbprint(public: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    URL_SAFE_NO_PAD.encode(TokenHash::of(members.as_bytes()).as_bytes())
}

/// A new signing key, as PEM.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate_signing_key() -> Result<String, KeyError> {
    let failed = |_| KeyError("no key can be generated");
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn tokens(pems: &[String]) -> AccessTokens {
        AccessTokens::new(pems, "https://a.example", "keyward", 600).unwrap()
    }

    fn issue(tokens: &AccessTokens, now: DateTime<Utc>) -> String {
        tokens
            .issue(
                now,
                (UserId::new(now), SessionId::new(now)),
                now,
                PlatformRole::User,
                None,
            )
            .unwrap()
    }

    #[test]
    fn a_token_is_good_in_its_time_and_nowhere_else() {
        let now = crate::clock::Clock::system().now();
        let pem = generate_signing_key().unwrap();
        let ours = tokens(std::slice::from_ref(&pem));
        let token = issue(&ours, now);
        assert!(ours.verify(now, &token).is_some());
        assert!(ours.verify(now + TimeDelta::seconds(604), &token).is_some());
        assert!(ours.verify(now + TimeDelta::seconds(606), &token).is_none());
        assert!(ours.verify(now - TimeDelta::seconds(7), &token).is_none());
        assert!(
            AccessTokens::new(std::slice::from_ref(&pem), "https://b.example", "keyward", 600)
                .unwrap()
                .verify(now, &token)
                .is_none()
        );
        assert!(
            AccessTokens::new(&[pem], "https://a.example", "other", 600)
                .unwrap()
                .verify(now, &token)
                .is_none()
        );
        assert!(tokens(&[generate_signing_key().unwrap()]).verify(now, &token).is_none());
    }

    #[test]
    fn during_a_rotation_tokens_of_both_keys_are_good() {
        let now = crate::clock::Clock::system().now();
        let [old, new] = [(); 2].map(|()| generate_signing_key().unwrap());
        let token = issue(&tokens(std::slice::from_ref(&old)), now);
        let both = tokens(&[new, old]);
        assert!(both.verify(now, &token).is_some());
        assert_eq!(both.jwks()["keys"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_key_id_is_the_thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_tampered_or_unsigned_token_is_refused() {
        let now = crate::clock::Clock::system().now();
        let ours = tokens(&[generate_signing_key().unwrap()]);
        let token = issue(&ours, now);
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"at+jwt"}"#);
        let payload = rest.split_once('.').unwrap().1;
        for forged in [
            format!("{rest}."),
            format!("{none}.{payload}."),
            format!("{rest}.{}", signature.replace('A', "B") + "A"),
        ] {
            assert!(ours.verify(now, &forged).is_none());
        }
    }
}
