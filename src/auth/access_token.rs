//! Access tokens: JWT (RFC 7519) of type `at+jwt` (RFC 9068), signed with Ed25519 (RFC 8037).
//!
//! A token is only valid together with the row of its session: a session that has ended or a lost membership invalidates it
//! before it expires (see `sessions::authenticate`).

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::principal::ActiveOrg;
use super::roles::{OrgRole, PlatformRole};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::values::ids::{OrgId, SessionId, UserId};

/// Tolerated difference between the clocks of two machines, in seconds.
const LEEWAY_SECONDS: i64 = 5;
/// A token is dated this long before its issue, so that a verifier whose clock is slow accepts it at once. It also expires this
/// much earlier, which the leeway makes up for here.
const CLOCK_SKEW_SECONDS: i64 = 2;

/// The `typ` header of access tokens (RFC 9068 §2.1), which distinguishes them from other JWTs.
const TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the public URL.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// Expiry, in seconds since 1970.
    pub exp: i64,
    pub iat: i64,
    /// Not valid before.
    pub nbf: i64,
    /// Id of the token.
    pub jti: Uuid,
    /// The session.
    pub sid: SessionId,
    /// When the user last entered the password in the session.
    pub auth_time: i64,
    /// The platform role of the user when the token was issued.
    pub role: PlatformRole,
    /// The organisation in which the token acts.
    pub org_id: Option<OrgId>,
    /// The role of the user in that organisation when the token was issued.
    pub org_role: Option<OrgRole>,
}

impl Claims {
    /// Whether `now` is between `nbf` and `exp`.
    pub const fn is_current(&self, now: DateTime<Utc>) -> bool {
        let now = now.timestamp();
        self.nbf <= now + LEEWAY_SECONDS && now < self.exp + LEEWAY_SECONDS
    }
}

/// Why a signing key cannot be used. Contains nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(&'static str);

struct Key {
    kid: String,
    public: String,
    decoding: DecodingKey,
}

/// The session, user and organisation that an access token is issued for.
#[derive(Clone, Copy, Debug)]
pub struct TokenSubject {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub authenticated_at: DateTime<Utc>,
    pub role: PlatformRole,
    pub active_org: Option<ActiveOrg>,
}

/// Issues and verifies access tokens.
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
    /// The ids of the keys; the first one signs.
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.kid.clone()).collect()
    }

    /// Takes Ed25519 private keys in PEM (PKCS #8, RFC 8410): the first signs, all verify.
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
                header.typ = Some(TOKEN_TYPE.to_owned());
                header.kid = Some(kid.clone());
                let encoding = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyError("not an Ed25519 key"))?;
                signing = Some((encoding, header));
            }
            keys.push(Key { kid, public, decoding });
        }
        let (signing, header) = signing.ok_or(KeyError("no signing key is configured"))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // `Claims::is_current` compares the times with the instant of the request instead of the system clock.
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

    pub const fn lifetime_seconds(&self) -> i64 {
        self.lifetime_seconds
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn issue(&self, now: DateTime<Utc>, subject: &TokenSubject) -> Result<String, Error> {
        let issued_at = now.timestamp() - CLOCK_SKEW_SECONDS;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.user_id,
            exp: issued_at + self.lifetime_seconds,
            iat: issued_at,
            nbf: issued_at,
            jti: Uuid::new_v4(),
            sid: subject.session_id,
            auth_time: subject.authenticated_at.timestamp(),
            role: subject.role,
            org_id: subject.active_org.map(|org| org.org_id),
            org_role: subject.active_org.map(|org| org.role),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing).map_err(Error::internal)
    }

    /// The claims of a token, if one of the keys signed it and it is valid at `now`.
    pub fn verify(&self, now: DateTime<Utc>, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        // RFC 7515 §4.1.11: a token with an extension that must be understood is refused, and no extension is.
        if header.typ.as_deref() != Some(TOKEN_TYPE) || header.crit.is_some() {
            return None;
        }
        let kid = header.kid?;
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation)
            .ok()?
            .claims;
        claims.is_current(now).then_some(claims)
    }

    /// The public keys as a JWK set (RFC 7517).
    pub fn jwks(&self) -> Value {
        let key = |key: &Key| json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.public});
        json!({"keys": self.keys.iter().map(key).collect::<Vec<_>>()})
    }
}

/// The `kid` of a key: its JWK thumbprint (RFC 7638 §3, RFC 8037 §2).
fn thumbprint(public: &str) -> String {
    let json = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    URL_SAFE_NO_PAD.encode(TokenHash::of(json.as_bytes()).as_bytes())
}

/// A new signing key, in PEM.
pub fn generate_signing_key() -> Result<String, KeyError> {
    let failed = |_| KeyError("cannot generate a key: the operating system provides no random bytes");
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
                &TokenSubject {
                    user_id: UserId::new(now),
                    session_id: SessionId::new(now),
                    authenticated_at: now,
                    role: PlatformRole::User,
                    active_org: None,
                },
            )
            .unwrap()
    }

    #[test]
    fn a_token_is_valid_for_its_lifetime_issuer_audience_and_key_only() {
        let now = crate::clock::Clock::system().now();
        let pem = generate_signing_key().unwrap();
        let ours = tokens(std::slice::from_ref(&pem));
        let token = issue(&ours, now);
        assert!(ours.verify(now, &token).is_some());
        assert!(ours.verify(now + TimeDelta::seconds(602), &token).is_some());
        assert!(ours.verify(now + TimeDelta::seconds(604), &token).is_none());
        assert!(ours.verify(now - TimeDelta::seconds(8), &token).is_none());
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
    fn during_a_key_rotation_tokens_of_both_keys_are_valid() {
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
    fn a_token_with_critical_extensions_is_refused() {
        let now = crate::clock::Clock::system().now();
        let mut ours = tokens(&[generate_signing_key().unwrap()]);
        for crit in [vec![], vec!["b64".to_owned()], vec!["exp".to_owned()]] {
            ours.header.crit = Some(crit);
            assert!(ours.verify(now, &issue(&ours, now)).is_none());
        }
        ours.header.crit = None;
        assert!(ours.verify(now, &issue(&ours, now)).is_some());
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
