CREATE TABLE notifications (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    type            text        NOT NULL,
    data            jsonb       NOT NULL,
    invitation_id   uuid        REFERENCES invitations ON DELETE CASCADE,
    join_request_id uuid        REFERENCES join_requests ON DELETE CASCADE,
    email_change_id uuid        REFERENCES email_changes ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    read_at         timestamptz,
    resolved_at     timestamptz,
    CHECK (num_nonnulls(invitation_id, join_request_id, email_change_id) <= 1)
);
COMMENT ON TABLE notifications IS 'Notifications in the app, one row per recipient.';
COMMENT ON COLUMN notifications.id IS
    'A UUID version 7. Lists, the stream and the retention rely on ids that sort by time.';
COMMENT ON COLUMN notifications.user_id IS 'The recipient.';
COMMENT ON COLUMN notifications.type IS 'What happened: one of the types that GET /notifications can filter by.';
COMMENT ON COLUMN notifications.data IS
    'The values that the text needs, by type; never a secret. Title and body are rendered at each read in the '
    'language of the recipient.';
COMMENT ON COLUMN notifications.invitation_id IS
    'The invitation that the notification is about. Deciding the invitation resolves all notifications about it. '
    'Null: not about an invitation.';
COMMENT ON COLUMN notifications.join_request_id IS 'Like invitation_id, for a join request.';
COMMENT ON COLUMN notifications.email_change_id IS 'Like invitation_id, for a change of the e-mail address.';
COMMENT ON COLUMN notifications.read_at IS 'When the recipient marked it as read. Null: unread.';
COMMENT ON COLUMN notifications.resolved_at IS
    'When the object of the notification was decided, so that its actions are gone. Null: still open, or without an '
    'object.';
-- By id instead of created_at: both sort by time, and lists and the stream continue after an id.
CREATE INDEX notifications_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id) WHERE read_at IS NULL;
CREATE INDEX notifications_invitation ON notifications (invitation_id) WHERE invitation_id IS NOT NULL;
CREATE INDEX notifications_join_request ON notifications (join_request_id) WHERE join_request_id IS NOT NULL;
CREATE INDEX notifications_email_change ON notifications (email_change_id) WHERE email_change_id IS NOT NULL;

CREATE FUNCTION keyward_notify_new_notifications() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- An announcement inserts a row per user. One message instead of thousands keeps the queue of NOTIFY short.
    IF (SELECT count(*) FROM (SELECT FROM inserted LIMIT 101) AS first_rows) > 100 THEN
        PERFORM pg_notify('keyward_notifications', '*');
    ELSE
        PERFORM pg_notify('keyward_notifications', user_id || ':' || id) FROM inserted;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keyward_notify_new_notifications IS
    'Sends each inserted notification on the channel keyward_notifications as <user_id>:<id>; sends one asterisk '
    'instead when a statement inserted more than 100, and then every stream reads its new notifications from the '
    'table.';
CREATE TRIGGER notifications_inserted AFTER INSERT ON notifications
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION keyward_notify_new_notifications();
COMMENT ON TRIGGER notifications_inserted ON notifications IS 'Wakes the notification streams on all instances.';

CREATE TABLE mail_opt_outs (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    type    text NOT NULL,
    PRIMARY KEY (user_id, type)
);
COMMENT ON TABLE mail_opt_outs IS
    'Notification types that a user does not want by e-mail. Without a row the e-mail is sent. GET '
    '/notifications lists the notification in both cases.';
COMMENT ON COLUMN mail_opt_outs.type IS 'A value of notifications.type.';
