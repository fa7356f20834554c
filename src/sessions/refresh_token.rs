//! The format of refresh tokens: session id, generation, and a MAC of both under the server secret, in base64url.
//!
//! A token names its place in the chain of its session, and only this service can make one. So the session's row with its current
//! generation is all that has to be stored: an older token is recognised as such, however often the session was refreshed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Purpose, ServerSecret, Token, constant_time_eq};
use crate::values::ids::SessionId;

const ID_BYTES: usize = 16;
const GENERATION_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    pub session_id: SessionId,
    /// 0 for the token of the login; each refresh adds 1.
    pub generation: i32,
}

impl RefreshToken {
    /// The token as the client sends it. The same place yields the same token again.
    pub fn encode(self, secret: &ServerSecret) -> Token {
        let mut bytes = self.place();
        bytes.extend(secret.mac(Purpose::Refresh, &[&bytes]));
        Token::new(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `None` unless `token` was made by [`RefreshToken::encode`] under the same secret.
    pub fn decode(secret: &ServerSecret, token: &Token) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token.expose()).ok()?;
        let (place, mac) = bytes.split_at_checked(ID_BYTES + GENERATION_BYTES)?;
        if !constant_time_eq(mac, &secret.mac(Purpose::Refresh, &[place])) {
            return None;
        }
        let (id, generation) = place.split_at_checked(ID_BYTES)?;
        Some(Self {
            session_id: uuid::Uuid::from_slice(id).ok()?.into(),
            generation: i32::from_be_bytes(generation.try_into().ok()?),
        })
    }

    fn place(self) -> Vec<u8> {
        [
            self.session_id.uuid().as_bytes().as_slice(),
            &self.generation.to_be_bytes(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_token_is_decoded_under_its_own_secret_only() {
        let secret = ServerSecret::new(&[1; 32]);
        let token = RefreshToken {
            session_id: SessionId::new(Clock::system().now()),
            generation: 70_000,
        };
        let text = token.encode(&secret);
        assert_eq!(RefreshToken::decode(&secret, &text), Some(token));
        assert_eq!(RefreshToken::decode(&ServerSecret::new(&[2; 32]), &text), None);
    }

    #[test]
    fn a_token_with_any_changed_character_is_refused() {
        let secret = ServerSecret::new(&[1; 32]);
        let token = RefreshToken {
            session_id: SessionId::new(Clock::system().now()),
            generation: 3,
        };
        let text = token.encode(&secret).expose().to_owned();
        for position in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            let forged = Token::new(String::from_utf8(forged).unwrap());
            assert_eq!(RefreshToken::decode(&secret, &forged), None, "position {position}");
        }
        for other in ["", "A", &text[..69], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(RefreshToken::decode(&secret, &Token::new(other)), None, "{other}");
        }
    }
}
