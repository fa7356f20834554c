//! Errors of PostgreSQL: which are trouble that may pass, and which a rule of the schema has caused.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::error::{Code, Error};

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        if is_last_owner_violation(&error) {
            Self::new(Code::LastOwner)
        } else if refers_to_deleted_row(&error) {
            Self::not_found()
        } else if is_transient(&error) {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// Whether the cause is the state of the server and not the statement: a later attempt may succeed.
///
/// Diesel has a kind for each violated constraint, but doesn't expose the SQLSTATE of other errors, and their messages are in
/// the language of the server. So every error of an unknown kind counts as trouble: a statement or lock timeout, a deadlock, a
/// server that starts, stops, has no connection or disk space left, a missing privilege, and a table that is missing because
/// the migrations are not applied yet.
fn is_transient(error: &DieselError) -> bool {
    match error {
        DieselError::BrokenTransactionManager => true,
        DieselError::RollbackErrorOnCommit { commit_error, .. } => is_transient(commit_error),
        DieselError::DatabaseError(kind, _) => matches!(
            kind,
            DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::Unknown
        ),
        _ => false,
    }
}

/// Whether PostgreSQL ended the transaction because it and another one waited for each other, or could not be serialised.
/// The other one could go on, and the same transaction may succeed now. Diesel doesn't expose the SQLSTATE of a deadlock, so on
/// a server whose messages are not in English only serialisation failures are recognised.
pub(super) fn is_conflict(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<DieselError>());
    match source {
        Some(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
        Some(DieselError::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
            info.message().contains("deadlock detected")
        }
        _ => false,
    }
}

/// Whether an inserted or updated row refers to a row that was deleted after it was looked up. Rows that refer to a deleted
/// row go with it (a test of the schema checks this), so that a DELETE cannot violate a foreign key.
const fn refers_to_deleted_row(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)
    )
}

/// Whether the commit would leave an organisation without an owner. The operations check this under a lock; the trigger
/// `memberships_owner` is the second safeguard.
fn is_last_owner_violation(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.constraint_name() == Some("memberships_owner"))
}

/// The name of the constraint that the statement violated.
pub fn violated_constraint(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::CheckViolation,
            info,
        ) => info.constraint_name(),
        _ => None,
    }
}
