//! What the audit log can record.

use crate::values::string_enum;

string_enum! {
    /// What happened.
    pub enum Action {
        /// A user set or removed their avatar.
        AccountAvatarChanged "account.avatar_changed",
        /// An operator created an account.
        AccountCreated "account.created",
        /// A user deleted their account.
        AccountDeleted "account.deleted",
        /// A user changed their username, nickname, language or time zone.
        AccountProfileChanged "account.profile_changed",
        /// An account was registered; its address is not verified yet.
        AccountRegistered "account.registered",
        /// Another verification e-mail was requested.
        AccountVerificationResent "account.verification_resent",
        /// The mailed link verified the address of an account.
        AccountVerified "account.verified",
        /// A platform admin sent an announcement.
        AnnouncementSent "announcement.sent",
        /// A user created an API key.
        ApiKeyCreated "api_key.created",
        /// A user deleted one of their API keys.
        ApiKeyDeleted "api_key.deleted",
        /// The expiry of an API key was moved.
        ApiKeyExtended "api_key.extended",
        /// An API key was deleted by itself or by an admin of its organisation.
        ApiKeyRevoked "api_key.revoked",
        /// An API key was given a new secret.
        ApiKeyRotated "api_key.rotated",
        /// The name, remark, scopes, networks or state of an API key changed.
        ApiKeyUpdated "api_key.updated",
        /// A user cancelled a pending change of e-mail address.
        EmailChangeCancelled "email.change_cancelled",
        /// A user requested a change of e-mail address.
        EmailChangeRequested "email.change_requested",
        /// The confirmation of a change of e-mail address was sent again.
        EmailChangeResent "email.change_resent",
        /// The link mailed to the old address restored it.
        EmailChangeReverted "email.change_reverted",
        /// The link mailed to the old address stopped a pending change.
        EmailChangeStopped "email.change_stopped",
        /// The new e-mail address was confirmed and is now the login.
        EmailChanged "email.changed",
        /// An invited person accepted and became a member.
        InvitationAccepted "invitation.accepted",
        /// An admin invited an address into an organisation.
        InvitationCreated "invitation.created",
        /// An invited person declined.
        InvitationDeclined "invitation.declined",
        /// An invitation was mailed again with a new link.
        InvitationResent "invitation.resent",
        /// An admin revoked an invitation.
        InvitationRevoked "invitation.revoked",
        /// An admin approved a request to join.
        JoinRequestApproved "join_request.approved",
        /// A user requested to join an organisation.
        JoinRequestCreated "join_request.created",
        /// An admin rejected a request to join.
        JoinRequestRejected "join_request.rejected",
        /// A user withdrew their request to join.
        JoinRequestWithdrawn "join_request.withdrawn",
        /// The role or the disabled services of a member changed.
        MemberChanged "member.changed",
        /// A member left an organisation.
        MemberLeft "member.left",
        /// An admin removed a member.
        MemberRemoved "member.removed",
        /// The name, slug, description or join policy of an organisation changed.
        OrgChanged "org.changed",
        /// A user created an organisation.
        OrgCreated "org.created",
        /// An organisation was deleted.
        OrgDeleted "org.deleted",
        /// The logo of an organisation was set or removed.
        OrgLogoChanged "org.logo_changed",
        /// An owner made another member owner in their place.
        OrgTransferred "org.transferred",
        /// A user changed their password.
        PasswordChanged "password.changed",
        /// A user who had to confirm their password gave a wrong one.
        PasswordCheckFailed "password.check_failed",
        /// A mailed link set a new password.
        PasswordReset "password.reset",
        /// A password reset was requested for an address.
        PasswordResetRequested "password.reset_requested",
        /// An operator set a password on the command line.
        PasswordSetByOperator "password.set_by_operator",
        /// A user logged in.
        SessionCreated "session.created",
        /// A session was ended by its user.
        SessionEnded "session.ended",
        /// A login was refused.
        SessionLoginFailed "session.login_failed",
        /// A session switched to another organisation.
        SessionOrgSwitched "session.org_switched",
        /// A user ended all their other sessions.
        SessionOthersEnded "session.others_ended",
        /// A session confirmed the password.
        SessionReauthenticated "session.reauthenticated",
        /// A used refresh token was presented again, so its session was ended.
        SessionRefreshTokenReused "session.refresh_token_reused",
        /// A platform admin or operator disabled an account.
        UserDisabled "user.disabled",
        /// A platform admin or operator enabled an account.
        UserEnabled "user.enabled",
        /// A platform admin or operator changed the platform role of an account.
        UserRoleChanged "user.role_changed",
        /// A platform admin ended all sessions of an account.
        UserSessionsRevoked "user.sessions_revoked",
    }
}
