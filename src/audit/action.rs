//! The actions that the audit log records.

use crate::values::string_enum;

macro_rules! actions {
    ($($variant:ident $name:literal $description:literal,)+) => {
        string_enum! {
            /// An action that the audit log records.
            pub enum Action { $(#[doc = $description] $variant $name,)+ }
        }

        impl Action {
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)+ }
            }
        }
    };
}

actions! {
    AccountAvatarChanged "account.avatar_changed"
        "A user set or removed their avatar.",
    AccountCreated "account.created"
        "An operator created an account.",
    AccountDeleted "account.deleted"
        "A user deleted their account.",
    AccountExported "account.exported"
        "A user exported everything that is stored about them.",
    AccountProfileChanged "account.profile_changed"
        "A user changed their username, nickname, language or time zone.",
    AccountRegistered "account.registered"
        "An account was registered; its address is not verified yet.",
    AccountVerificationResent "account.verification_resent"
        "Another verification e-mail was requested.",
    AccountVerified "account.verified"
        "The mailed link verified the address of an account.",
    AnnouncementSent "announcement.sent"
        "A platform admin sent an announcement.",
    ApiKeyCreated "api_key.created"
        "A user created an API key.",
    ApiKeyDeleted "api_key.deleted"
        "A user deleted one of their API keys.",
    ApiKeyExtended "api_key.extended"
        "The expiry of an API key was moved.",
    ApiKeyRevoked "api_key.revoked"
        "An API key was deleted by itself or by an admin of its organisation.",
    ApiKeyRotated "api_key.rotated"
        "An API key was given a new secret.",
    ApiKeyUpdated "api_key.updated"
        "The name, remark, scopes, networks or state of an API key changed.",
    EmailChangeCancelled "email.change_cancelled"
        "A user cancelled a pending change of e-mail address.",
    EmailChangeRequested "email.change_requested"
        "A user requested a change of e-mail address.",
    EmailChangeResent "email.change_resent"
        "The confirmation of a change of e-mail address was sent again.",
    EmailChangeReverted "email.change_reverted"
        "The link mailed to the old address restored it.",
    EmailChangeStopped "email.change_stopped"
        "The link mailed to the old address stopped a pending change.",
    EmailChanged "email.changed"
        "The new e-mail address was confirmed and is now the login.",
    InvitationAccepted "invitation.accepted"
        "An invited person accepted and became a member.",
    InvitationCreated "invitation.created"
        "An admin invited an address into an organisation.",
    InvitationDeclined "invitation.declined"
        "An invited person declined.",
    InvitationResent "invitation.resent"
        "An invitation was mailed again with a new link.",
    InvitationRevoked "invitation.revoked"
        "An admin revoked an invitation.",
    JoinRequestApproved "join_request.approved"
        "An admin approved a request to join.",
    JoinRequestCreated "join_request.created"
        "A user requested to join an organisation.",
    JoinRequestRejected "join_request.rejected"
        "An admin rejected a request to join.",
    JoinRequestWithdrawn "join_request.withdrawn"
        "A user withdrew their request to join.",
    MemberChanged "member.changed"
        "The role or the disabled services of a member changed.",
    MemberLeft "member.left"
        "A member left an organisation.",
    MemberRemoved "member.removed"
        "An admin removed a member.",
    OrgChanged "org.changed"
        "The name, slug, description or join policy of an organisation changed.",
    OrgCreated "org.created"
        "A user created an organisation.",
    OrgDeleted "org.deleted"
        "An organisation was deleted.",
    OrgLogoChanged "org.logo_changed"
        "The logo of an organisation was set or removed.",
    OrgOwnerAppointed "org.owner_appointed"
        "A platform admin named an owner of an organisation whose owners are all disabled.",
    OrgTransferred "org.transferred"
        "An owner made another member owner in their place.",
    PasswordChanged "password.changed"
        "A user changed their password.",
    PasswordCheckFailed "password.check_failed"
        "A user entered a wrong password where the current one is required.",
    PasswordReset "password.reset"
        "A mailed link set a new password.",
    PasswordResetRequested "password.reset_requested"
        "A password reset was requested for an address.",
    PasswordSetByOperator "password.set_by_operator"
        "An operator set a password on the command line.",
    RequestRateLimited "request.rate_limited"
        "Requests were refused because a limit of rate was reached.",
    SessionCreated "session.created"
        "A user logged in.",
    SessionEnded "session.ended"
        "A session was ended by its user.",
    SessionLoginFailed "session.login_failed"
        "A login was refused.",
    SessionLoginRefused "session.login_refused"
        "A login with the correct password was refused, because the account is disabled.",
    SessionOrgSwitched "session.org_switched"
        "A session switched to another organisation.",
    SessionOthersEnded "session.others_ended"
        "A user ended all their other sessions.",
    SessionReauthenticated "session.reauthenticated"
        "A session confirmed the password.",
    SessionRefreshTokenReused "session.refresh_token_reused"
        "A used refresh token was presented again, so its session was ended.",
    UserDisabled "user.disabled"
        "A platform admin or operator disabled an account.",
    UserEnabled "user.enabled"
        "A platform admin or operator enabled an account.",
    UserRoleChanged "user.role_changed"
        "A platform admin or operator changed the platform role of an account.",
    UserSessionsRevoked "user.sessions_revoked"
        "A platform admin ended all sessions of an account.",
}
