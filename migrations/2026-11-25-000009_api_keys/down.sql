DROP TABLE api_key_reminders, api_key_usage, api_key_secrets, api_keys;
