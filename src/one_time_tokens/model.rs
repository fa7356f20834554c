use crate::values::ids::{EmailChangeId, InvitationId, RegistrationId, UserId};

/// The object that a token acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Registration(RegistrationId),
    /// The password of a user.
    User(UserId),
    EmailChange(EmailChangeId),
    Invitation(InvitationId),
}
