//! Reading and changing the profile.

use super::model::Profile;
use super::store;
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session};
use crate::db::{Tx, violated_constraint};
use crate::error::{Code, Error};
use crate::images;
use crate::users::{self, Nickname, ProfileChange, TimeZone, User, Username};
use crate::values::ids::{ImageId, UserId};
use crate::values::locale::Locale;
use crate::values::{Patch, Precondition};

pub fn find<P>(tx: &mut Tx<'_>, caller: &Caller<P>) -> Result<Profile, Error> {
    let org_id = caller.active_org.map(|org| org.org_id);
    store::find(tx, caller.user_id, org_id)?.ok_or_else(Error::not_found)
}

/// The fields of `PATCH /me`.
#[derive(Clone)]
pub struct ProfilePatch {
    pub username: Patch<Username>,
    pub nickname: Patch<Option<Nickname>>,
    pub locale: Patch<Locale>,
    pub time_zone: Patch<TimeZone>,
}

impl ProfilePatch {
    /// The fields that differ from the present profile.
    fn changes(self, user: &User) -> ProfileChange {
        ProfileChange {
            username: self
                .username
                .set()
                .map(Username::into_string)
                .filter(|new| user.username.as_ref() != Some(new)),
            nickname: self
                .nickname
                .set()
                .map(|new| new.map(Nickname::into_string))
                .filter(|new| *new != user.nickname),
            locale: self.locale.set().filter(|new| *new != user.locale),
            time_zone: self
                .time_zone
                .set()
                .map(TimeZone::into_string)
                .filter(|new| *new != user.time_zone),
        }
    }
}

/// Changes the caller's profile. The previous username remains reserved for the caller.
///
/// # Errors
/// `precondition_failed`; `username_taken`, also when another user released the name less than 30 days ago.
pub fn update<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    precondition: &Precondition,
    patch: ProfilePatch,
) -> Result<Profile, Error> {
    let user = users::find(tx, caller.user_id)?;
    precondition.check(user.version)?;
    let change = patch.changes(&user);
    let changed: Vec<&str> = [
        ("username", change.username.is_some()),
        ("nickname", change.nickname.is_some()),
        ("locale", change.locale.is_some()),
        ("time_zone", change.time_zone.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, is_changed)| is_changed.then_some(field))
    .collect();
    if changed.is_empty() {
        return find(tx, caller);
    }
    if let Some(username) = &change.username {
        if users::is_username_reserved(tx, username, user.id)? {
            return Err(Error::new(Code::UsernameTaken));
        }
        if let Some(previous) = &user.username {
            users::release_username(tx, previous, user.id)?;
        }
    }
    users::update_profile(tx, user.id, change).map_err(|error| match violated_constraint(&error) {
        Some("users_username_key") => Error::new(Code::UsernameTaken),
        _ => error.into(),
    })?;
    let entry = Entry::by(caller, Action::AccountProfileChanged);
    audit::record(tx, entry.detail("changed", changed))?;
    find(tx, caller)
}

/// Whether the user could change their username to this one.
pub fn is_username_available(tx: &mut Tx<'_>, user_id: UserId, username: &Username) -> Result<bool, Error> {
    let username = username.as_str();
    Ok(!users::is_username_taken(tx, username, user_id)? && !users::is_username_reserved(tx, username, user_id)?)
}

/// Replaces the caller's avatar by a new image, in WebP.
pub fn set_avatar(tx: &mut Tx<'_>, caller: &Caller<Session>, webp: &[u8]) -> Result<ImageId, Error> {
    let user = users::find(tx, caller.user_id)?;
    let id = images::insert(tx, webp)?;
    replace_avatar(tx, caller, &user, Some(id))?;
    Ok(id)
}

/// Removes the caller's avatar, if there is one.
pub fn remove_avatar(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<(), Error> {
    let user = users::find(tx, caller.user_id)?;
    replace_avatar(tx, caller, &user, None)
}

fn replace_avatar(
    tx: &mut Tx<'_>,
    caller: &Caller<Session>,
    user: &User,
    new_id: Option<ImageId>,
) -> Result<(), Error> {
    users::set_avatar(tx, user.id, new_id)?;
    if let Some(previous) = user.avatar_id {
        images::delete(tx, previous)?;
    }
    if user.avatar_id.is_none() && new_id.is_none() {
        return Ok(());
    }
    audit::record(tx, Entry::by(caller, Action::AccountAvatarChanged))
}
