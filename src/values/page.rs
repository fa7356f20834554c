//! Lists in pages, by keyset: a page costs the same wherever it stands, and nothing is shown twice or left out while
//! others come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use crate::error::{Code, Error};
use crate::secret::{Purpose, ServerSecret, constant_time_eq};
use crate::values::{BoundedInt, Fields, FromFields, Patch};

/// Entries of a page when the client does not say.
const DEFAULT_LIMIT: i64 = 25;
/// Most entries of a page.
const MAX_LIMIT: i64 = 100;
/// How much of the MAC a cursor carries, in bytes.
const SEAL_BYTES: usize = 16;

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// What to send as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Which page of a list is wanted.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Entries of a page, 1 to 100.
    #[param(required = false, value_type = i64, minimum = 1, maximum = 100, default = 25)]
    pub limit: i64,
    /// The `next_cursor` of the page before.
    #[param(required = false, nullable = false)]
    pub cursor: Option<String>,
}

impl FromFields for PageQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.take::<Patch<BoundedInt<1, MAX_LIMIT>>>("limit");
        let cursor = fields.take::<Option<String>>("cursor");
        Some(Self {
            limit: limit?.set().map_or(DEFAULT_LIMIT, BoundedInt::get),
            cursor: cursor?,
        })
    }
}

/// Makes and reads the cursors of one list. A cursor is the key of the last entry shown, sealed under the name of its
/// list, which holds whatever decides its order: sort, filters, owner.
pub struct Cursors<'a> {
    secret: &'a ServerSecret,
    list: String,
}

impl<'a> Cursors<'a> {
    /// Of the list so named.
    pub fn new(secret: &'a ServerSecret, list: impl Into<String>) -> Self {
        Self {
            secret,
            list: list.into(),
        }
    }

    fn seal(&self, key: &[u8]) -> Vec<u8> {
        self.secret
            .mac(Purpose::Cursor, &[self.list.as_bytes(), key])
            .into_iter()
            .take(SEAL_BYTES)
            .collect()
    }

    /// Where the page before ended; `None` for the first page.
    ///
    /// # Errors
    /// `invalid_cursor` for one that was not made for this list.
    pub fn read<K: DeserializeOwned>(&self, cursor: Option<&str>) -> Result<Option<K>, Error> {
        let Some(cursor) = cursor else { return Ok(None) };
        let invalid = || Error::new(Code::InvalidCursor);
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        let (seal, key) = bytes.split_at_checked(SEAL_BYTES).ok_or_else(invalid)?;
        if !constant_time_eq(seal, &self.seal(key)) {
            return Err(invalid());
        }
        serde_json::from_slice(key).map(Some).map_err(|_| invalid())
    }

    /// Makes a page of rows of which one more than `limit` was asked for: that one tells whether there are more.
    ///
    /// # Errors
    /// `internal_error` when a key cannot be written, which no key can cause.
    pub fn page<R, K: Serialize>(&self, mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> K) -> Result<Page<R>, Error> {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = match rows.last() {
            Some(last) if more => {
                let key = serde_json::to_vec(&key(last)).map_err(Error::internal)?;
                Some(URL_SAFE_NO_PAD.encode([self.seal(&key), key].concat()))
            }
            _ => None,
        };
        Ok(Page {
            data: rows,
            next_cursor,
        })
    }
}

impl<T> Page<T> {
    /// The same page of something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(change).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let secret = ServerSecret::new(&[7; 32]);
        let cursors = Cursors::new(&secret, "keys of a");
        let page = cursors.page(vec![3, 2, 1], 2, |row| *row).unwrap();
        assert_eq!(page.data, [3, 2]);
        let cursor = page.next_cursor.unwrap();
        assert_eq!(cursors.read::<i32>(Some(&cursor)).unwrap(), Some(2));
        assert!(Cursors::new(&secret, "keys of b").read::<i32>(Some(&cursor)).is_err());
        assert!(
            Cursors::new(&ServerSecret::new(&[8; 32]), "keys of a")
                .read::<i32>(Some(&cursor))
                .is_err()
        );
        for wrong in ["", "x", "AAAA", "é", &cursor[..cursor.len() - 2]] {
            assert!(cursors.read::<i32>(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let secret = ServerSecret::new(&[7; 32]);
        let page = Cursors::new(&secret, "l").page(vec![2, 1], 2, |row| *row).unwrap();
        assert_eq!((page.data.len(), page.next_cursor), (2, None));
    }
}
