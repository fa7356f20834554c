DROP TABLE mail_opt_outs, notifications;
DROP FUNCTION keyward_notify_new_notifications;
